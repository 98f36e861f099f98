package socketio_test

import (
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/samedoor/samedoor/socketio/internal/load"
)

// The soak tests run with SOAK=1 (make soak).

// TestSoakUpgrades makes 100,000 handshakes with upgrade, none of which may fail.
func TestSoakUpgrades(t *testing.T) {
	soak(t)
	const n = 100_000
	p := startServer(t, "native")
	for range 100 { // what is made once is made now
		if c, err := load.Upgrade(p.Addr); err == nil {
			c.Close()
		}
	}
	time.Sleep(time.Second)
	before := p.Usage(t, true)
	var mu sync.Mutex
	took := make([]time.Duration, 0, n)
	failed := 0
	var wg sync.WaitGroup
	next := make(chan struct{}, n)
	for range n {
		next <- struct{}{}
	}
	close(next)
	for range 4 {
		wg.Go(func() {
			for range next {
				began := time.Now()
				c, err := load.Upgrade(p.Addr)
				d := time.Since(began)
				if err == nil {
					// a round trip shows that the upgrade is complete
					if err = c.Write(`421["echo"]`); err == nil {
						_, err = c.Read()
					}
					c.Close()
				}
				mu.Lock()
				if took = append(took, d); err != nil {
					failed++
					t.Log(err)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slices.Sort(took)
	cpu := p.Usage(t, false).CPU - before.CPU
	var after load.Usage
	for range 100 {
		after = p.Usage(t, true)
		if after.Goroutines <= before.Goroutines && after.FDs <= before.FDs {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Logf("%d upgrades, %d failed; p50 %v, p99 %v, longest %v; %.0f µs of CPU each", n, failed,
		took[n/2], took[n*99/100], took[n-1], float64(cpu)/1e3/n)
	t.Logf("before: %+v, after: %+v", before, after)
	if failed > 0 || after.Goroutines > before.Goroutines || after.FDs > before.FDs || after.RSS > before.RSS+32<<20 {
		t.Error("failures or leaks")
	}
}

// TestSoakIdle keeps 10,000 connections, and lets them go.
func TestSoakIdle(t *testing.T) {
	soak(t)
	const n = 10_000
	p := startServer(t, "native")
	before := p.Usage(t, true)
	clients := make([]*load.Client, n)
	for i := range clients {
		c, err := load.Upgrade(p.Addr)
		if err != nil {
			t.Fatal(i, err)
		}
		c.ClosePoll()
		clients[i] = c
	}
	time.Sleep(time.Second)
	idle := p.Usage(t, true)
	perConn := float64(idle.RSS-before.RSS) / n / 1024
	t.Logf("%d idle connections: %.1f KiB and %.2f goroutines each", n, perConn, float64(idle.Goroutines-before.Goroutines)/n)
	for _, c := range clients {
		c.Close()
	}
	time.Sleep(2 * time.Second)
	after := p.Usage(t, true)
	t.Logf("before: %+v, after: %+v", before, after)
	if perConn > 12 || after.Goroutines > before.Goroutines || after.FDs > before.FDs {
		t.Error("too much, or leaks")
	}
}

func soak(t *testing.T) {
	if os.Getenv("SOAK") == "" {
		t.Skip("SOAK is not set")
	}
}
