package worker

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/bus"
	"github.com/samedoor/samedoor/internal/control"
	"github.com/samedoor/samedoor/internal/engines"
	"github.com/samedoor/samedoor/strategies"
)

// counted is an engine with so many sessions.
type counted struct {
	http.Handler
	n atomic.Int64
}

func (c *counted) Has(string) bool       { return false }
func (c *counted) Sessions() int         { return int(c.n.Load()) }
func (c *counted) Close()                {}
func (c *counted) Drain(context.Context) {}
func (c *counted) Nudge(string)          {}

// TestReport: a burst is told once, with the number after it, and an idle
// worker says nothing.
func TestReport(t *testing.T) {
	e := &counted{}
	w := &Worker{engine: e, touched: make(chan struct{}, 1)}
	told := make(chan int, 100)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.report(ctx, func(n int) error { told <- n; return nil })
	}()
	for range 3 {
		want := int(e.n.Load()) + 50
		for range 50 {
			e.n.Add(1)
			w.touch()
		}
		for n := 0; n != want; {
			select {
			case n = <-told:
			case <-time.After(10 * time.Second):
				t.Fatalf("%d sessions were not told", want)
			}
		}
	}
	time.Sleep(5 * reportEvery)
	if len(told) > 1 { // a touch just after the count may be told of once more
		t.Errorf("an idle worker told %d times", len(told))
	}
	cancel()
	<-done
}

func TestReportEndsWithTheMaster(t *testing.T) {
	w := &Worker{engine: &counted{}, touched: make(chan struct{}, 1)}
	w.touch()
	w.report(t.Context(), func(int) error { return errors.New("broken pipe") }) // returns
}

// refusing is a strategy without any.
type refusing struct{ strategies.Strategy }

func (refusing) Route(w strategies.Worker) http.Handler { return w.Refuse }

// TestSessionsTouch: both engines say when sessions come and go.
func TestSessionsTouch(t *testing.T) {
	b, err := bus.StartEmbedded()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	info := strategies.Info{New: func(strategies.Config) strategies.Strategy { return refusing{} }}
	for _, name := range engines.Names {
		t.Run(name, func(t *testing.T) {
			w, err := New(control.Boot{Engine: name, Hash: "rendezvous", Bus: b.URL()}, info, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer w.bus.Close()
			touches := func(when string) {
				t.Helper()
				select {
				case <-w.touched:
				case <-time.After(10 * time.Second):
					t.Fatalf("nothing was noted %s", when)
				}
			}
			s := httptest.NewServer(http.HandlerFunc(w.serveSocketIO))
			defer s.Close()
			resp, err := http.Get(s.URL + "/socket.io/?EIO=4&transport=polling")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if n := w.engine.Sessions(); n != 1 {
				t.Fatalf("%d sessions", n)
			}
			touches("when a session was opened")
			w.engine.Close()
			touches("when it ended")
		})
	}
}
