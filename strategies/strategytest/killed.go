package strategytest

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/clustertest"
	"github.com/samedoor/samedoor/internal/eioclient"
)

// knockers open one connection after the other while workers are killed.
const knockers = 24

// A loss is a request that was not answered 200.
type loss struct {
	addr       string
	start, end time.Time
	how        string
	refused    bool // the connection
}

// killed kills the workers in turn, with SIGKILL, under clients that keep
// opening connections. None is refused, and none fails but those that a worker
// may have had at its death: whoever came later waited for the successor.
func killed(t *testing.T, c *clustertest.Cluster) {
	stop := make(chan struct{})
	var mu sync.Mutex
	var lost []loss
	answered := 0
	var running sync.WaitGroup
	for i := range knockers {
		at, err := front(c).base(from(i))
		if err != nil {
			t.Fatal(err)
		}
		client := eioclient.New(at, from(i))
		running.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond): // leave the workers some of the machine
				}
				start := time.Now()
				a, err := client.Do("GET", "/healthz", "")
				mu.Lock()
				if err == nil && a.Status == http.StatusOK {
					answered++
				} else {
					lost = append(lost, loss{from(i), start, time.Now(), fmt.Sprint(a.Status, " ", err), errors.Is(err, syscall.ECONNREFUSED)})
				}
				mu.Unlock()
			}
		})
	}
	type death struct{ from, to time.Time }
	var deaths []death
	for _, w := range c.Status().Workers {
		d := death{from: time.Now()}
		if err := syscall.Kill(w.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		clustertest.Until(t, 10*time.Second, "the worker is dead", func() bool { return clustertest.Gone(w.PID) })
		d.to = time.Now()
		deaths = append(deaths, d)
		clustertest.Until(t, 20*time.Second, "the slot has a new worker", func() bool {
			now := c.Status().Workers[w.Slot]
			return now.State == "ready" && now.PID != w.PID
		})
	}
	close(stop)
	running.Wait()
	t.Logf("%d workers were killed: %d requests were answered, %d lost", len(deaths), answered, len(lost))
	if answered < 4*knockers {
		t.Errorf("%d requests were answered: nothing was proved", answered)
	}
	for _, l := range lost {
		met := false
		for _, d := range deaths {
			met = met || l.start.Before(d.to) && l.end.After(d.from)
		}
		if l.refused || !met {
			t.Errorf("%s: %s; a death was met: %v", l.addr, l.how, met)
		}
	}
}
