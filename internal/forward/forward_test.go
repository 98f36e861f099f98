package forward

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/bus"
	"github.com/samedoor/samedoor/internal/control"
	"github.com/samedoor/samedoor/internal/trace"
)

// What workers make of one another's requests is tested where whole workers
// are: in internal/worker, forward_test.go. Here are the pieces.

// forwarder returns the Forwarder of a worker on host "h" that knows of those
// others by the registry.
func forwarder(t *testing.T, boot control.Boot, registered ...bus.Worker) *Forwarder {
	t.Helper()
	e, err := bus.StartEmbedded()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	b, err := bus.Open(e.URL(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	for _, w := range registered {
		if err := b.Announce(t.Context(), w); err != nil {
			t.Fatal(err)
		}
	}
	boot.Host = "h"
	f := New(Options{
		Boot: boot, Registry: b.Registry(), Patience: time.Minute,
		Cluster: func() control.Cluster { return control.Cluster{Workers: []control.Worker{{Slot: 0}, {Slot: 1}}} },
		Record:  &trace.Recorder{Ring: trace.NewRing(100), Slot: boot.Slot, Name: "1", Via: Via},
		Refuse:  func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, "refused", http.StatusBadRequest) },
		Nudge:   func(string) {},
	})
	t.Cleanup(f.Close)
	return f
}

func TestOwners(t *testing.T) {
	here := bus.Worker{ID: "0-h", Slot: 0, Host: "h", Addr: "unix:/d/worker-0.sock"}
	there := bus.Worker{ID: "2-there", Slot: 2, Host: "there", Addr: "192.0.2.1:3131", Secret: "s"}
	mute := bus.Worker{ID: "3-mute", Slot: 3, Host: "mute"}
	all := []bus.Worker{here, there, mute}
	neighbour, elsewhere := peer{"unix:/d/worker-0.sock", "", "/d/handover-0.sock"}, peer{addr: "192.0.2.1:3131", secret: "s"}
	alone := peer{addr: "unix:/d/worker-0.sock"} // has no run to hand anything over in
	for _, tt := range []struct {
		name  string
		boot  control.Boot
		sid   string // its name
		want  peer   // by the neighbours
		known bool
	}{
		{"one cluster: the slot", control.Boot{Dir: "/d", Slot: 1}, "0", neighbour, true},
		{"one cluster: no slot", control.Boot{Dir: "/d", Slot: 1}, "x", peer{}, false},
		{"a shared bus: of this host", control.Boot{Dir: "/d", Slot: 1, Shared: true}, "0-h", neighbour, true},
		{"a shared bus: of another", control.Boot{Dir: "/d", Slot: 1, Shared: true}, "2-there", elsewhere, true},
		{"a shared bus: nobody", control.Boot{Dir: "/d", Slot: 1, Shared: true}, "0", peer{}, false},
		{"a shared bus: one that takes nothing", control.Boot{Dir: "/d", Slot: 1, Shared: true}, "3-mute", peer{}, false},
		{"by itself", control.Boot{Slot: 1, Shared: true}, "0-h", alone, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := forwarder(t, tt.boot, all...)
			if got, ok := f.neighbour(t.Context(), tt.sid); ok != tt.known || ok && got != tt.want {
				t.Errorf("the neighbours have %+v %v, want %+v", got, ok, tt.want)
			}
			if got, ok := f.registered(t.Context(), tt.sid); ok != tt.known || ok && got != tt.want {
				t.Errorf("the registry has %+v %v, want %+v", got, ok, tt.want)
			}
		})
	}
}

// TestOneHop: a request that came by another worker goes no further, nor does one
// whose owner nobody knows; one whose owner is gone counts, and is refused.
func TestOneHop(t *testing.T) {
	f := forwarder(t, control.Boot{Dir: t.TempDir(), Slot: 1})
	ask := func(sid string, via ...int) *httptest.ResponseRecorder {
		rw, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/socket.io/?EIO=4&transport=polling&sid="+sid, nil)
		for _, slot := range via {
			r = mark(slot, rw, r)
		}
		f.ToNeighbours().ServeHTTP(rw, r)
		if rw.Code != http.StatusBadRequest || strings.TrimSpace(rw.Body.String()) != "refused" {
			t.Errorf("%s by %v: %d %s", sid, via, rw.Code, rw.Body)
		}
		return rw
	}
	ask("0.x", 2)
	ask("nobody.x")
	if n := f.Forwarded(); n != 0 {
		t.Errorf("forwarded %d", n)
	}
	ask("0.x")
	if n := f.Forwarded(); n != 1 || len(f.polls.all()) != 0 {
		t.Errorf("forwarded %d, still under way %v", n, f.polls.all())
	}
	if es := f.Record.Of("0.x", 0); len(es) != 2 || es[0].Status != 400 || es[0].Via == nil || *es[0].Via != 2 || es[1].Status != 400 || es[1].Via != nil {
		t.Errorf("recorded: %+v", es)
	}
}

// TestFromPeers: over TCP nobody gets in without the secret, and what comes over
// a unix socket is this user's.
func TestFromPeers(t *testing.T) {
	f := forwarder(t, control.Boot{Secret: "s3cret"})
	var nudged string
	f.Nudge = func(sid string) { nudged = sid }
	site := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		via, ok := Via(r.Context())
		if !ok || via != 2 || r.Header.Get(secretHeader) != "" || r.Header.Get(clientHeader) != "" {
			t.Errorf("via %d, headers %v", via, r.Header)
		}
		_, _ = io.WriteString(rw, "site for "+r.RemoteAddr)
	})
	h := f.FromPeers(site, map[string]http.HandlerFunc{
		"/-/q": func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "42") },
	})
	for _, tt := range []struct {
		name, network, path, secret, via string
		status                           int
		want                             string
	}{
		{"a worker of another host", "tcp", "/x", "s3cret", "2", 200, "site for 192.0.2.9:5"},
		{"a neighbour", "unix", "/x", "", "2", 200, "site for 192.0.2.9:5"},
		{"a stranger", "tcp", "/x", "", "2", 403, "this address is for workers of the cluster\n"},
		{"a guess", "tcp", "/-/q", "guess", "", 403, "this address is for workers of the cluster\n"},
		{"a question", "tcp", "/-/q", "s3cret", "", 200, "42"},
		{"a nudge", "unix", nudgePath + "?sid=1.x", "", "", 200, "null\n"},
		{"neither question nor forwarded", "unix", "/x", "", "", 400, ViaHeader + " is missing\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rw, r := httptest.NewRecorder(), httptest.NewRequest("GET", tt.path, nil)
			var at net.Addr = &net.TCPAddr{}
			if tt.network == "unix" {
				at = &net.UnixAddr{Net: "unix"}
			}
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, at))
			for name, v := range map[string]string{secretHeader: tt.secret, ViaHeader: tt.via, clientHeader: "192.0.2.9:5"} {
				if v != "" {
					r.Header.Set(name, v)
				}
			}
			h.ServeHTTP(rw, r)
			if rw.Code != tt.status || rw.Body.String() != tt.want {
				t.Errorf("%d %q, want %d %q", rw.Code, rw.Body, tt.status, tt.want)
			}
		})
	}
	if nudged != "1.x" {
		t.Errorf("nudged: %q", nudged)
	}
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("not %s", what)
			return
		}
	}
}

// TestNudge: an owner hears of the polls that are under way, and of no others;
// questions go the same way.
func TestNudge(t *testing.T) {
	dir, err := os.MkdirTemp("", "samedoor-test-") // t.TempDir may be too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	owner, door := forwarder(t, control.Boot{Dir: dir}), forwarder(t, control.Boot{Dir: dir, Slot: 1})
	nudged := make(chan string, 1)
	owner.Nudge = func(sid string) {
		select {
		case nudged <- sid:
		default:
		}
	}
	_, requests, err := owner.Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { owner.handed.Close() })
	held, release := make(chan bool), make(chan bool)
	site := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { held <- true; <-release })
	s := &http.Server{Handler: owner.FromPeers(site, map[string]http.HandlerFunc{
		"/-/q": func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "42") },
	})}
	go func() { _ = s.Serve(requests[0]) }()
	t.Cleanup(func() { s.Close() })

	answered := make(chan int)
	go func() {
		rw := httptest.NewRecorder()
		door.ToNeighbours().ServeHTTP(rw, httptest.NewRequest("GET", "/socket.io/?EIO=4&transport=polling&sid=0.x", nil))
		answered <- rw.Code
	}()
	select {
	case <-held:
	case status := <-answered:
		t.Fatalf("the owner is not asked: %d", status)
	}
	eventually(t, "nudged", func() bool { // a busy owner may take longer than a question waits
		door.NudgeOwners(t.Context())
		select {
		case sid := <-nudged:
			return sid == "0.x"
		default:
			return false
		}
	})
	close(release)
	if status := <-answered; status != 200 {
		t.Errorf("the poll is answered %d", status)
	}
	if all := door.polls.all(); len(all) > 0 {
		t.Errorf("still to be nudged: %v", all)
	}
	asked := 0
	door.Others(t.Context(), func(o bus.Worker, ask Ask) {
		asked++
		var n int
		eventually(t, "answered", func() bool { return ask("/-/q", &n) == nil })
		if n != 42 || o.Slot != 0 {
			t.Errorf("worker %d: %d", o.Slot, n)
		}
		if ask("/-/other", &n) == nil {
			t.Error("an unknown question is answered")
		}
	})
	if asked != 1 {
		t.Errorf("asked %d", asked)
	}
}
