// Package restart decides how often, and how soon, a process that died is
// started again.
package restart

import "time"

// A Policy does so for one process at a time.
type Policy struct {
	Max   int           // restarts without a healthy minute in between
	Delay time.Duration // before each, but for the first death of a process that had been ready

	Count int // restarts since the last healthy minute
}

// healthy is how long a process must have served to be forgiven.
const healthy = time.Minute

// Died tells what to do about a process that was ready for so long (0 if it
// never was): give up, or start another after a delay.
func (p *Policy) Died(ready time.Duration) (after time.Duration, giveUp bool) {
	if ready >= healthy {
		p.Count = 0
	}
	if p.Count >= p.Max {
		return 0, true
	}
	p.Count++
	if p.Count == 1 && ready > 0 {
		return 0, false
	}
	return p.Delay, false
}
