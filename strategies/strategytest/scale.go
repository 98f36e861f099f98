package strategytest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/clustertest"
)

// scales grows and shrinks a cluster under clients that are busy all the time,
// half of them on WebSockets, half polling: of those some with connections kept
// alive, some slow to poll again. Nobody is refused a connection, and no request of a
// session that its client was not told to leave is answered 400. 200 clients
// with SOAK=1.
func scales(t *testing.T, c *clustertest.Cluster) {
	n := clients
	if os.Getenv("SOAK") != "" {
		n = 200
	}
	tally := newTally()
	all := make([]*live, n)
	for i := range all {
		at, err := front(c).base(from(i % 250))
		if err != nil {
			t.Fatal(err)
		}
		all[i] = start(t, tally, at, i)
		time.Sleep(time.Duration(rand.IntN(10)) * time.Millisecond) // two cores
	}
	echo := func(when string) {
		t.Helper()
		before := make([]int64, n)
		for i, l := range all {
			before[i] = l.echoes.Load()
		}
		for i, l := range all {
			clustertest.Until(t, 60*time.Second, fmt.Sprintf("client %d echoes %s; all: %v", l.i, when, tally), func() bool {
				return l.echoes.Load() > before[i]+1
			})
		}
	}
	echo("at first")
	for _, to := range []int{5, 3} {
		was := len(c.Status().Workers)
		began := time.Now()
		said, code := c.Scale(to)
		if want := fmt.Sprintf("%d → %d workers", was, to); said != want || code != 0 {
			t.Fatalf("scale: %q, exit code %d, want %q", said, code, want)
		}
		took := time.Since(began)
		clustertest.Until(t, 10*time.Second, fmt.Sprintf("/cluster tells of %d workers that are ready: %v", to, tally), func() bool {
			s := c.Status()
			for _, w := range s.Workers {
				if w.State != "ready" || w.Restarts != 0 {
					return false
				}
			}
			return len(s.Workers) == to
		})
		echo("with " + said)
		t.Logf("%s in %v; %d clients so far: %v", said, took.Round(10*time.Millisecond), n, tally)
	}
	sessions := 0
	for _, w := range c.Status().Workers {
		sessions += w.Sessions
	}
	if told := tally.of("told to leave"); told == 0 {
		t.Error("nobody was told to leave: were there sessions on the slots that went?")
	}
	for _, never := range []string{"400 while live", "refused", "poll cut"} {
		if k := tally.of(never); k != 0 {
			t.Errorf("%s: %d of %v", never, k, tally)
		}
	}
	if sessions < n {
		t.Errorf("%d sessions for %d clients", sessions, n)
	}
}
