package doctor

import (
	"context"
	"time"
)

// The long checks tell a proxy's timeout from a worker that dies by when their
// connections end. A timeout counts from when something last moved on each, so
// they are opened a stagger apart: what ends in one moment all the same was
// ended by something that happened then.
const (
	stagger = 1500 * time.Millisecond
	moment  = 500 * time.Millisecond
	retry   = 5 * time.Second // how long a proxy may take to ask a worker that has just come
)

// orEnded is for a cut that is alone: another run tells.
const orEnded = "If another run is cut after another time, the worker ended instead: look at its log."

// A cut is the end of a connection that a check held, unasked for.
type cut struct {
	check string
	at    time.Time
	quiet time.Duration // for so long nothing had moved on it
	seen  string
	again bool // it was tried again, on another worker: it ended some time before
}

// inTurn waits until a check may open what it holds: n staggers after the first.
func (e *exam) inTurn(ctx context.Context, n int) {
	if e.o.Quick {
		return // nothing is held for long
	}
	select {
	case <-time.After(time.Duration(n) * stagger):
	case <-ctx.Done():
	}
}

func (e *exam) cutOff(c cut) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cuts = append(e.cuts, c)
}

// together returns the cuts of one moment, if there are several and no timeout
// explains them: they had been quiet for different times.
func together(cuts []cut) []cut {
	for _, first := range cuts {
		var of []cut
		least, most := first.quiet, first.quiet
		for _, c := range cuts {
			if d := c.at.Sub(first.at); d >= 0 && d <= moment {
				of = append(of, c)
				least, most = min(least, c.quiet), max(most, c.quiet)
			}
		}
		if most-least > stagger/2 {
			for _, c := range cuts {
				if d := c.at.Sub(first.at); c.again && d > moment && d <= retry {
					of = append(of, c)
				}
			}
			return of
		}
	}
	return nil
}

// died makes one finding of what ended as the worker did: it is told where it
// showed first, and the other checks were cut short.
func (e *exam) died(r *Report) bool {
	e.mu.Lock()
	cuts := together(e.cuts)
	e.mu.Unlock()
	told := ""
	for _, f := range r.Findings {
		c := cutOf(cuts, f.Check)
		switch {
		case c == nil || f.Status == OK && f.Title != "":
		case told != "":
			*f = Finding{Check: f.Check, Millis: f.Millis}
			f.skip("cut short: see %s", told)
		default:
			told = f.Check
			*f = Finding{Check: f.Check, Millis: f.Millis}
			f.fail("the worker that held these sessions ended meanwhile")
			for _, other := range r.Findings {
				if c := cutOf(cuts, other.Check); c != nil {
					f.tell("%s: %s, quiet for %s", c.check, c.seen, span(c.quiet))
				}
			}
			f.because("", "It died or was restarted, or the proxy in front was: %s ended in one moment, though no timeout was due on all of them.", count(len(cuts), "connection"))
			f.advise("Look at the worker's log, and run again.")
			e.prescribe(f)
		}
	}
	return told != ""
}

func cutOf(cuts []cut, check string) *cut {
	for i := range cuts {
		if cuts[i].check == check {
			return &cuts[i]
		}
	}
	return nil
}
