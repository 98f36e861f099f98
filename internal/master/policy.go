package master

import "time"

// policy decides how often and how soon a slot's process is started again.
type policy struct {
	max   int           // restarts without a healthy minute in between
	delay time.Duration // before each, but for the first death of a healthy worker

	count int
}

// healthy is how long a worker must have served for its slot to be forgiven.
const healthy = time.Minute

// died tells what to do about a process that was ready for so long (0 if it
// never was): give the slot up, or start another after a delay.
func (p *policy) died(ready time.Duration) (after time.Duration, giveUp bool) {
	if ready >= healthy {
		p.count = 0
	}
	if p.count >= p.max {
		return 0, true
	}
	p.count++
	if p.count == 1 && ready > 0 {
		return 0, false
	}
	return p.delay, false
}
