// Package strategytest checks that a strategy keeps its promise, with the
// cluster that users start: real processes, real sockets, clients from many
// addresses. Each strategy's own test calls [Run]; none must fail.
package strategytest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/clustertest"
	"github.com/samedoor/samedoor/internal/eioclient"
	"github.com/samedoor/samedoor/strategies"
)

// Want is what is expected of a strategy.
type Want struct {
	Sticky bool // all requests of a session reach its owner, if need be forwarded
	Exact  bool // under --strict too, without forwarding
	Hashed bool // the client's address decides, also if only a proxy in front tells it
	Brief  bool // only what has to do with who serves whom
	Args   []string
}

const clients = 40

// Run runs the suite.
func Run(t *testing.T, info strategies.Info, want Want) {
	if info.Name == "none" && want.Sticky {
		t.Fatal("none is the control: it must fail")
	}
	args := append([]string{"--strategy", info.Name}, want.Args...)
	t.Run("one worker", func(t *testing.T) {
		c := clustertest.Start(t, append(args, "--workers", "1")...)
		if r := handshakes(t, c); r.whole != clients {
			t.Errorf("%d of %d handshakes are whole: %s", r.whole, clients, r.failures())
		}
	})
	if want.Exact {
		t.Run("strict", func(t *testing.T) {
			c := clustertest.Start(t, append(args, "--strict")...)
			handshakes(t, c).check(t, true)
			for _, w := range c.Status().Workers {
				if w.Forwarded != 0 || w.Refused != 0 {
					t.Errorf("slot %d forwarded %d and refused %d", w.Slot, w.Forwarded, w.Refused)
				}
			}
		})
	}
	t.Run("four workers", func(t *testing.T) { life(t, info, want, args) })
	if !want.Brief {
		t.Run("behind proxies", func(t *testing.T) { behind(t, info, want, args) })
		t.Run("TLS", func(t *testing.T) { overTLS(t, info, want, args) })
	}
}

// life puts one cluster through all that may happen to it: a start costs more
// than most of that.
func life(t *testing.T, info strategies.Info, want Want, args []string) {
	c := clustertest.Start(t, append(args, "--restart-delay", "1ms")...)
	r := handshakes(t, c)
	r.check(t, want.Sticky)
	t.Run("trace", func(t *testing.T) { traces(t, c, r, want.Sticky) })
	t.Run("counts", func(t *testing.T) { counts(t, c, info, want.Sticky) })
	if !want.Brief {
		t.Run("connections reused", func(t *testing.T) { reuses(t, info, want, c) })
		t.Run("addresses that change", func(t *testing.T) { moves(t, info, want, c) })
		if want.Sticky {
			t.Run("4 to 5 to 3 workers", func(t *testing.T) { scales(t, c) })
		}
		t.Run("workers are killed", func(t *testing.T) { killed(t, c) })
	}
	t.Run("a worker dies", func(t *testing.T) { dies(t, c, want) })
}

// results of many handshakes.
type results struct {
	whole  int // succeeded
	slots  map[int]int
	failed map[string]int // what went wrong, how often
	sids   []string
}

func (r *results) failures() string {
	b, _ := json.Marshal(r.failed)
	return string(b)
}

// check tells a strategy that works from the control, which must not.
func (r *results) check(t *testing.T, sticky bool) {
	t.Helper()
	t.Logf("%d of %d handshakes are whole, on slots %v; failures: %s", r.whole, clients, r.slots, r.failures())
	if len(r.slots) < 2 {
		t.Errorf("all clients reached the same slot: %v", r.slots)
	}
	switch {
	case sticky && r.whole != clients:
		t.Errorf("%d of %d handshakes failed: %s", clients-r.whole, clients, r.failures())
	case !sticky && r.whole > clients/4:
		t.Errorf("%d of %d handshakes are whole without a strategy: is the test one?", r.whole, clients)
	case !sticky && r.failed["post: 400 Session ID unknown"] == 0:
		t.Errorf("no request was answered 400 Session ID unknown: %s", r.failures())
	}
}

func from(i int) string { return fmt.Sprintf("127.0.%d.%d", 1+i, 1+i) } // nginx looks at three octets

// A door is where clients come to the cluster, and what they say there of
// themselves.
type door struct {
	*clustertest.Cluster
	url    string
	header http.Header
}

func front(c *clustertest.Cluster) door { return door{Cluster: c, url: c.URL} }

func (d door) client(at, addr string) *eioclient.Client {
	c := eioclient.New(at, addr)
	for k, v := range d.header {
		c.Header[k] = v
	}
	return c
}

// base is where a client from that address is told to connect.
func (d door) base(addr string) (string, error) {
	a, err := d.client(d.url, addr).Do("GET", "/route", "")
	if err != nil || a.Status != http.StatusOK {
		return d.url, err
	}
	var route struct{ URL string }
	err = json.Unmarshal([]byte(a.Body), &route)
	return route.URL, err
}

// handshakes lets all clients connect, some at a time, each with a new
// connection for every request.
func handshakes(t *testing.T, c *clustertest.Cluster) *results {
	t.Helper()
	r := &results{slots: map[int]int{}, failed: map[string]int{}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	turn := make(chan struct{}, 8)
	for i := range clients {
		wg.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			sid, slot, why := front(c).handshake(from(i))
			mu.Lock()
			defer mu.Unlock()
			r.sids = append(r.sids, sid)
			r.slots[slot]++
			if why == "" {
				r.whole++
			} else {
				r.failed[why]++
			}
		})
	}
	wg.Wait()
	return r
}

// handshake returns the session's sid, the slot that opened it, and what went
// wrong.
func (d door) handshake(addr string) (sid string, slot int, why string) {
	at, err := d.base(addr)
	if err != nil {
		return "", -1, "route: " + err.Error()
	}
	sid, conn, steps, err := d.client(at, addr).Handshake()
	if len(steps) == 0 {
		return sid, -1, fmt.Sprint(err)
	}
	slot, last := steps[0].Worker, steps[len(steps)-1]
	if err != nil {
		return sid, slot, last.Name + ": " + err.Error()
	}
	if conn == nil {
		var e struct{ Message string }
		_ = json.Unmarshal([]byte(last.Body), &e)
		return sid, slot, fmt.Sprintf("%s: %d %s", last.Name, last.Status, e.Message)
	}
	defer conn.Close()
	for _, s := range steps {
		if s.Worker != slot {
			return sid, slot, fmt.Sprintf("%s was answered by slot %d, open by %d", s.Name, s.Worker, slot)
		}
	}
	if !strings.HasPrefix(sid, strconv.Itoa(slot)+".") {
		return sid, slot, fmt.Sprintf("sid %s does not name slot %d", sid, slot)
	}
	got, err := eioclient.Ask(conn, `42["b:message",{}]`, `42["s:message"`)
	if want := fmt.Sprintf(`42["s:message","/: %d",`, d.Port+slot); err != nil || !strings.HasPrefix(got, want) {
		return sid, slot, fmt.Sprintf("b:message: %s, %v, want %s…", got, err, want)
	}
	return sid, slot, ""
}

// traces checks that the workers tell what the client saw.
func traces(t *testing.T, c *clustertest.Cluster, r *results, sticky bool) {
	refused := 0
	for _, sid := range r.sids {
		var es []struct {
			Step           string
			Status         int
			Slot           int
			Owner, Via     *int
			Error          *string
			At             int64
			MS             float64
			Transport      string
			Sent, Received int64
		}
		if err := c.Get("/trace?sid="+sid, &es); err != nil {
			t.Fatal(err)
		}
		if len(es) == 0 || es[0].Step != "open" || es[0].Status != 200 {
			t.Fatalf("%s: %+v", sid, es)
		}
		for _, e := range es {
			if e.Owner == nil || strconv.Itoa(*e.Owner) != sid[:strings.IndexByte(sid, '.')] {
				t.Errorf("%s: %s has owner %v", sid, e.Step, e.Owner)
			}
			if e.Status == 400 {
				refused++
				if e.Error == nil || *e.Error != "Session ID unknown" || e.Slot == *e.Owner {
					t.Errorf("%s: %+v", sid, e)
				}
			}
		}
		if !sticky {
			continue
		}
		steps := map[string]int{}
		for _, e := range es {
			steps[e.Step] = e.Status
		}
		if steps["post"] != 200 || steps["poll"] != 200 || steps["upgrade"] != 101 {
			t.Errorf("%s: %v", sid, steps)
		}
	}
	if sticky != (refused == 0) {
		t.Errorf("the workers recorded %d refused requests", refused)
	}
}

func counts(t *testing.T, c *clustertest.Cluster, info strategies.Info, sticky bool) {
	refused, forwarded := 0, 0
	for _, w := range c.Status().Workers {
		refused, forwarded = refused+w.Refused, forwarded+w.Forwarded
	}
	t.Logf("refused %d, forwarded %d", refused, forwarded)
	if sticky != (refused == 0) {
		t.Errorf("refused %d", refused)
	}
	if leans := info.Name == "redis"; leans != (forwarded > 0) {
		t.Errorf("forwarded %d", forwarded)
	}
}

// dies kills a worker: no client is refused a connection, the others' sessions
// go on, and its slot is served again.
func dies(t *testing.T, c *clustertest.Cluster, want Want) {
	type client struct {
		*eioclient.Client
		sid  string
		slot int
	}
	var all []client
	for i := range clients {
		at, err := front(c).base(from(i))
		if err != nil {
			t.Fatal(err)
		}
		cl := eioclient.New(at, from(i))
		sid, a, err := cl.Open()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, client{cl, sid, a.Worker})
	}
	dead := all[0].slot
	pid, restarts := c.Worker(dead), c.Status().Workers[dead].Restarts
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for _, cl := range all {
		a, err := cl.Post(cl.sid, "40")
		switch {
		case errors.Is(err, syscall.ECONNREFUSED):
			t.Errorf("slot %d: %v", cl.slot, err)
		case cl.slot != dead && want.Sticky && (err != nil || a.Status != http.StatusOK):
			t.Errorf("a client of slot %d notices the death of %d: %d %v", cl.slot, dead, a.Status, err)
		case cl.slot == dead && err == nil && a.Status == http.StatusOK:
			t.Errorf("slot %d answers for a session that died with its worker", dead)
		}
	}
	clustertest.Until(t, 10*time.Second, "the slot has a new worker", func() bool {
		w := c.Status().Workers[dead]
		return w.State == "ready" && w.PID != pid && w.Restarts == restarts+1
	})
	if !want.Sticky {
		return
	}
	if sid, slot, why := front(c).handshake(from(0)); why != "" {
		t.Errorf("%s on slot %d: %s", sid, slot, why)
	}
}
