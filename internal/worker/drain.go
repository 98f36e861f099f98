package worker

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/samedoor/samedoor/internal/control"
	"github.com/samedoor/samedoor/internal/engines"
	"github.com/samedoor/samedoor/internal/forward"
)

// A worker that leaves stays for so long after the last of its clients knows:
// for requests that were on their way. Where it has no successor, whoever chooses
// workers (nginx reloads) may need a moment to know, too.
const (
	stragglers = 250 * time.Millisecond
	unlearning = time.Second
)

// leave sends all clients elsewhere, so that nobody notices the end of this
// worker but by having to reconnect: sessions are closed by their next poll or a
// WebSocket's close and answer until then, newcomers are let in by another
// worker, and polls that this worker forwards come again by another way. It
// returns once all clients know, at the latest after limit.
func (w *Worker) leave(ctx context.Context, limit time.Duration) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	w.stopOpening()
	told := make(chan struct{})
	go func() { defer close(told); w.engine.Drain(ctx) }()
	stay := stragglers
	if w.state() == control.Leaving {
		w.stopAccepting() // the master passes what still comes to workers that stay
		stay = unlearning
	}
	for knows := false; ctx.Err() == nil && !(knows && time.Since(began) > stay); {
		w.forward.NudgeOwners(ctx)
		select {
		case <-told:
			knows = true
			pause(ctx, stragglers)
		case <-time.After(stragglers):
		case <-ctx.Done():
		}
	}
	w.log.Info("worker drained", "took", time.Since(began).Round(time.Millisecond).String(), "left", w.engine.Sessions())
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// drain ends all sessions, whose held polls Shutdown would wait for. Sessions
// that are just being opened are answered first, later ones refused.
func (w *Worker) drain() {
	w.stopOpening()
	w.engine.Close()
}

// openLimit is how long the end of a worker waits for sessions that are just
// being opened: one takes a moment, unless its client sends or reads slowly.
const openLimit = 500 * time.Millisecond

// stopOpening lets no session begin any more, and those that do be answered
// first. It does not wait for a client that stalls: the others must hear in time.
func (w *Worker) stopOpening() {
	w.draining.Store(true)
	answered := make(chan struct{})
	go func() {
		w.opening.Lock()
		defer w.opening.Unlock()
		close(answered)
	}()
	select {
	case <-answered:
	case <-time.After(openLimit):
	}
}

// open begins a session, or lets another worker begin it.
func (w *Worker) open(rw http.ResponseWriter, r *http.Request) {
	if w.openHere(rw, r) {
		return
	}
	rw.Header().Set("Connection", "close")
	_, forwarded := forward.Via(r.Context())
	slot, ok := w.elsewhere(r)
	if forwarded || !ok || r.Header.Get("Upgrade") != "" { // a WebSocket would be cut with this worker
		w.tryAgain(rw, r)
		return
	}
	w.forward.ToSlot(rw, r, slot, w.tryAgain)
}

// openHere begins a session unless this worker is about to end.
func (w *Worker) openHere(rw http.ResponseWriter, r *http.Request) bool {
	if w.draining.Load() { // not to wait where stopOpening does
		return false
	}
	w.opening.RLock()
	defer w.opening.RUnlock()
	if w.draining.Load() {
		return false
	}
	w.engine.ServeHTTP(rw, r)
	return true
}

// elsewhere is the slot that a newcomer goes to instead: the one its address
// hashes to once this slot is not live, or with a successor to come, any that is
// ready. (Forwarding must then be allowed, for the requests that follow.)
func (w *Worker) elsewhere(r *http.Request) (slot int, ok bool) {
	c := w.snapshot()
	live := c.Live()
	if slices.Contains(live, w.boot.Slot) {
		live = slices.DeleteFunc(c.Serving(), func(s int) bool { return s == w.boot.Slot })
		if w.boot.Strict {
			live = nil
		}
	}
	if len(live) == 0 || w.boot.Dir == "" {
		return 0, false
	}
	client, _ := netip.ParseAddrPort(r.RemoteAddr)
	return w.hash(client.Addr(), live), true
}

func (w *Worker) tryAgain(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Retry-After", "1")
	rw.Header().Set("Connection", "close")
	engines.Refuse(rw, r, http.StatusServiceUnavailable, 3, "This worker is being replaced: try again")
}
