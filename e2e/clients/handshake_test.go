package clients

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/clustertest"
)

// outcome is what became of one client that connects once.
type outcome struct {
	Address  string
	SID      string
	Upgraded bool
	Failed   string // "" if it came to the end
	Replies  map[string]struct {
		Text any // "/: 3131" or 3131
		Slot int
	}
	Requests []request
	Errors   map[string]int
}

type request struct {
	Method, Transport, SID, Worker, Via, From string
	Status                                    int
}

// slot is what the client's sid says.
func (o outcome) slot() int {
	digits, _, _ := strings.Cut(o.SID, ".")
	digits, _, _ = strings.Cut(digits, "-")
	n, err := strconv.Atoi(digits)
	if err != nil {
		return -1
	}
	return n
}

// connect runs clients that connect once.
func connect(t testing.TB, c config) []outcome {
	t.Helper()
	c.Mode = "once"
	if c.Limit == 0 {
		c.Limit = 20_000
	}
	p := invite(t, config{}) // a process of its own, so that its start is not measured
	began := time.Now()
	var all []outcome
	p.ask(c, &all)
	t.Logf("%d clients took %v", c.Clients, time.Since(began).Round(10*time.Millisecond))
	return all
}

// tally counts what happened to clients.
type tally struct {
	clients, upgraded, replied, requests, refused, forwarded int
	traced, tracedRefused                                    int // as the workers saw it
	slots                                                    map[int]int
	failures                                                 map[string]int
	strange                                                  map[string]int // answers that came from elsewhere
	statuses                                                 map[int]int
}

func (s tally) String() string {
	slots := make([]string, 0, len(s.slots))
	for _, slot := range slices.Sorted(maps.Keys(s.slots)) {
		slots = append(slots, fmt.Sprintf("%d: %d", slot, s.slots[slot]))
	}
	return fmt.Sprintf("%d clients: %d upgraded, %d answered in both namespaces by their worker; %d requests, %d answered 400, %d forwarded; workers saw %d, %d of them answered 400; clients by slot {%s}; failures %v",
		s.clients, s.upgraded, s.replied, s.requests, s.refused, s.forwarded, s.traced, s.tracedRefused, strings.Join(slots, ", "), s.failures)
}

// count judges each client by itself: what must hold in every strategy.
func count(t testing.TB, all []outcome, workerPort int) (s tally) {
	t.Helper()
	s = tally{clients: len(all), slots: map[int]int{}, failures: map[string]int{}, strange: map[string]int{}, statuses: map[int]int{}}
	for _, o := range all {
		slot := o.slot()
		s.slots[slot]++
		if o.Upgraded {
			s.upgraded++
		}
		if o.Failed != "" {
			s.failures[o.Failed]++
		}
		for code, n := range o.Errors {
			s.failures["connection: "+code] += n
		}
		for _, r := range o.Requests {
			s.requests++
			s.statuses[r.Status]++
			if r.Status == 400 {
				s.refused++
			}
			if r.Via != "" {
				s.forwarded++
			}
			if o.Address != "" && r.From != o.Address {
				t.Errorf("a client's %s request came from %s, not from %s", r.Transport, r.From, o.Address)
			}
			if r.SID != "" && r.Status < 400 && r.Worker != strconv.Itoa(slot) {
				s.strange[fmt.Sprintf("a %s of session %d.… was answered by worker %q", r.Transport, slot, r.Worker)]++
			}
		}
		root, inRoot := o.Replies["/"]
		ws, inWS := o.Replies["/ws"]
		if inRoot && inWS {
			if root.Slot != slot || ws.Slot != slot ||
				root.Text != fmt.Sprintf("/: %d", workerPort+slot) || ws.Text != float64(workerPort+slot) {
				t.Errorf("session %s was answered %+v", o.SID, o.Replies)
			} else {
				s.replied++
			}
		}
	}
	if len(s.strange) > 0 {
		t.Errorf("the owner did not answer, or says so unclearly: %v", s.strange)
	}
	return s
}

// trace adds what the workers saw of the clients' sessions; clusters are all
// that may have seen something.
func (s *tally) trace(t testing.TB, all []outcome, clusters ...*clustertest.Cluster) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	turn := make(chan struct{}, 8)
	for _, o := range all {
		if o.SID == "" {
			continue
		}
		wg.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			for _, c := range clusters {
				var es []struct {
					Step   string
					Status int
				}
				if err := c.Get("/trace?sid="+url.QueryEscape(o.SID), &es); err != nil {
					t.Error(err)
				}
				mu.Lock()
				for _, e := range es {
					if e.Step == "close" {
						continue // tells the status of its handshake again
					}
					s.traced++
					if e.Status == 400 {
						s.tracedRefused++
					}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// refusals adds up what /cluster counts.
func refusals(clusters ...*clustertest.Cluster) (refused, forwarded int) {
	for _, c := range clusters {
		for _, w := range c.Status().Workers {
			refused += w.Refused
			forwarded += w.Forwarded
		}
	}
	return refused, forwarded
}

// perfect fails the test unless every client came through without a refusal.
func perfect(t testing.TB, all []outcome, s tally, clusters ...*clustertest.Cluster) {
	t.Helper()
	if s.refused != 0 || s.upgraded != s.clients || s.replied != s.clients || len(s.failures) > 0 {
		t.Error("not all clients came through")
		for _, o := range all {
			if o.Failed == "" && len(o.Errors) == 0 {
				continue
			}
			t.Logf("session %s: %s %v %v: %+v", o.SID, o.Failed, o.Errors, o.Replies, o.Requests)
			for _, c := range clusters {
				var seen []map[string]any
				_ = c.Get("/trace?sid="+url.QueryEscape(o.SID), &seen) // an aid, no more
				t.Logf("its workers saw: %v", seen)
				_, raw, _ := strings.Cut(o.SID, ".")
				for line := range strings.Lines(c.Log()) {
					if raw != "" && strings.Contains(line, raw) {
						t.Log(line)
					}
				}
			}
		}
	}
	for status, n := range s.statuses {
		if status != 200 && status != 101 {
			t.Errorf("%d requests were answered %d", n, status)
		}
	}
	if s.tracedRefused != 0 || s.traced < 4*s.clients {
		t.Errorf("/trace tells %d requests, %d of them answered 400", s.traced, s.tracedRefused)
	}
	if refused, _ := refusals(clusters...); refused != 0 {
		t.Errorf("/cluster tells %d refused", refused)
	}
}

const (
	many      = 200 // clients
	addresses = 50  // where they come from
)

// TestHandshakes: 200 of the official client connect from 50 addresses; in
// every strategy but none not one request is answered 400.
func TestHandshakes(t *testing.T) {
	for _, tt := range []struct {
		name   string
		args   []string
		exact  bool // never leans on forwarding
		sticky bool // an address has one slot
	}{
		{"nginx", []string{"--strategy", "nginx"}, true, true},
		{"nginx strict", []string{"--strategy", "nginx", "--strict"}, true, true},
		{"nginx hash", []string{"--strategy", "nginx", "--nginx-method", "hash", "--strict"}, true, true},
		{"nginx sid", []string{"--strategy", "nginx", "--nginx-method", "sid", "--strict"}, true, true},
		{"server", []string{"--strategy", "server"}, true, true},
		{"server strict", []string{"--strategy", "server", "--strict"}, true, true},
		{"master", []string{"--strategy", "master"}, true, true},
		{"master strict", []string{"--strategy", "master", "--strict"}, true, true},
		{"master digits", []string{"--strategy", "master", "--hash", "digits", "--strict"}, true, true},
		{"kernel", []string{"--strategy", "kernel"}, true, true},
		{"kernel strict", []string{"--strategy", "kernel", "--strict"}, true, true},
		{"sid", []string{"--strategy", "sid"}, true, false},
		{"sid strict", []string{"--strategy", "sid", "--strict"}, true, false},
		{"redis", []string{"--strategy", "redis"}, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.args[1] == "nginx" {
				need(t, "nginx")
			}
			c := clustertest.Start(t, tt.args...)
			all := connect(t, config{URL: c.URL, Clients: many, Addresses: addresses, Route: tt.args[1] == "server", KeepAlive: true})
			s := count(t, all, c.Port)
			s.trace(t, all, c)
			t.Log(s)
			perfect(t, all, s, c)
			if _, forwarded := refusals(c); tt.exact == (forwarded > 0) || tt.exact == (s.forwarded > 0) {
				t.Errorf("%d requests were forwarded, and %d answers say so", forwarded, s.forwarded)
			}
			if len(s.slots) < 3 {
				t.Errorf("the clients are on %d slots only", len(s.slots))
			}
			if tt.args[1] == "sid" && (len(s.slots) != 4 || min(s.slots[0], s.slots[1], s.slots[2], s.slots[3]) < many/5) {
				t.Errorf("the newcomers are spread unevenly: %v", s.slots)
			}
			if tt.sticky {
				home := map[string]int{}
				for _, o := range all {
					if slot, known := home[o.Address]; known && slot != o.slot() {
						t.Errorf("clients of %s are on slots %d and %d", o.Address, slot, o.slot())
					}
					home[o.Address] = o.slot()
				}
			}
		})
	}
}

// TestHandshakesFail is the control: where nothing keeps a client's requests
// together most fail, and the same measurements say so.
func TestHandshakesFail(t *testing.T) {
	c := clustertest.Start(t, "--strategy", "none")
	all := connect(t, config{URL: c.URL, Clients: many, Addresses: addresses, Limit: 10_000})
	s := count(t, all, c.Port)
	s.trace(t, all, c)
	t.Log(s)
	unknown := 0
	for _, o := range all {
		if strings.Contains(o.Failed, "Session ID unknown") || strings.Contains(o.Failed, "400") ||
			slices.ContainsFunc(o.Requests, func(r request) bool { return r.Status == 400 }) {
			unknown++
		}
	}
	t.Logf("%d of %d clients met 400 Session ID unknown", unknown, many)
	if unknown < many*8/10 || s.replied > many*2/10 {
		t.Error("most should have failed")
	}
	refused, forwarded := refusals(c)
	// A client that gives up doesn't read the answers to its other requests.
	if refused < s.refused || s.tracedRefused != refused || forwarded != 0 {
		t.Errorf("clients met %d refusals, /cluster tells %d and /trace %d; %d forwarded", s.refused, refused, s.tracedRefused, forwarded)
	}
}

// TestIPv6: loopback has one IPv6 address, so all clients are on one slot
// where an address decides.
func TestIPv6(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("this machine has no IPv6 loopback: %v", err)
	}
	l.Close()
	for _, strategy := range []string{"master", "kernel", "nginx", "server", "sid", "redis"} {
		t.Run(strategy, func(t *testing.T) {
			if strategy == "nginx" {
				need(t, "nginx")
			}
			c := clustertest.Start(t, "--strategy", strategy, "--addr", "[::1]:0")
			if !strings.HasPrefix(c.URL, "http://[::1]:") {
				t.Errorf("it is ready at %s", c.URL)
			}
			all := connect(t, config{URL: c.URL, Clients: 8, Route: strategy == "server"})
			s := count(t, all, c.Port)
			s.trace(t, all, c)
			t.Log(s)
			perfect(t, all, s, c)
			if byAddress := strategy != "redis" && strategy != "sid"; byAddress && len(s.slots) != 1 {
				t.Errorf("one address is on %d slots", len(s.slots))
			}
		})
	}
}
