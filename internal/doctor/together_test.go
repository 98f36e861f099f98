package doctor

import (
	"testing"
	"time"
)

// TestTogether: a timeout is due on each connection at its own time, a worker's
// end on all at once.
func TestTogether(t *testing.T) {
	start := time.Now()
	at := func(opened, ended time.Duration) cut { return cut{at: start.Add(ended), quiet: ended - opened} }
	again := func(c cut) cut { c.again = true; return c }
	for _, c := range []struct {
		name string
		cuts []cut
		want int
	}{
		{"none", nil, 0},
		{"one", []cut{at(0, 9*time.Second)}, 0},
		{"a worker's end", []cut{at(0, 9*time.Second), at(stagger, 9*time.Second+moment/2), at(2*stagger, 9*time.Second)}, 3},
		{"told in another order", []cut{at(stagger, 9*time.Second+moment/2), at(0, 9*time.Second)}, 2},
		{"a timeout", []cut{at(0, 20*time.Second), at(stagger, 20*time.Second+stagger), at(2*stagger, 20*time.Second+2*stagger)}, 0},
		{"a timeout, opened at once", []cut{at(0, 20*time.Second), at(moment/2, 20*time.Second+moment/2)}, 0},
		{"a worker's end, and a poll that its successor answers", []cut{again(at(0, 11*time.Second)), at(stagger, 9*time.Second), at(2*stagger, 9*time.Second)}, 3},
		{"a worker's end, and a poll that is cut later", []cut{at(0, 11*time.Second), at(stagger, 9*time.Second), at(2*stagger, 9*time.Second)}, 2},
		{"a timeout, and a poll that is tried again", []cut{again(at(0, 13*time.Second)), at(stagger, 9*time.Second), at(2*stagger, 9*time.Second+stagger)}, 0},
		{"one, then a worker's end", []cut{at(0, 5*time.Second), at(stagger, 9*time.Second), at(2*stagger, 9*time.Second)}, 2},
	} {
		if got := together(c.cuts); len(got) != c.want {
			t.Errorf("%s: %d", c.name, len(got))
		}
	}
}
