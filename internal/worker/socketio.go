package worker

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/samedoor/samedoor/internal/session"
	"github.com/samedoor/samedoor/internal/trace"
)

// maxPayload bounds a request's body, in bytes; the handshake tells it.
const maxPayload = 1_000_000

// maxSID bounds a sid, in bytes: a name, a dot and what the library makes up.
const maxSID = 128

// pollDeadline is how long the answer to a request may take to be read. A poll
// is held for at most a ping interval of 25 s.
const pollDeadline = 90 * time.Second

// serveSocketIO is the way of every Socket.IO request, from clients and from
// forwarding workers alike: check it, then serve it here if this worker holds
// its session, else leave it to the strategy.
func (w *Worker) serveSocketIO(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("X-Content-Type-Options", "nosniff")
	q := r.URL.Query()
	sid := q.Get("sid")
	if len(sid) > maxSID {
		w.refuse(rw, r)
		return
	}
	name, _, tagged := session.Split(sid)
	_, forwarded := viaOf(r.Context())

	switch allowed, cross := w.origins.check(r); {
	case !allowed:
		w.recorded(answer(http.StatusForbidden, 4, "Origin not allowed: list it with --origins")).ServeHTTP(rw, r)
		return
	case cross:
		w.origins.allow(rw.Header(), r)
	}
	if r.Method == http.MethodOptions {
		rw.WriteHeader(http.StatusNoContent)
		return
	}
	rc := http.NewResponseController(rw)
	_ = rc.SetWriteDeadline(time.Now().Add(pollDeadline)) // a connection that becomes a WebSocket is freed of it

	switch {
	case q.Has("j"): // a script of any page could read the answer
		w.recorded(answer(http.StatusBadRequest, 3, "JSONP is not served")).ServeHTTP(rw, r)
	case sid == "":
		w.open(rw, r)
	case w.engine.has(sid):
		w.engine.ServeHTTP(rw, r)
	case tagged && name != w.name && !forwarded:
		w.stranger.ServeHTTP(rw, r)
	default: // ours, but over; not anybody's; or forwarded to the wrong worker
		w.refusal.ServeHTTP(rw, r)
	}
}

// refuse answers a request for a session that this worker does not hold, as
// Socket.IO does: the client starts over.
func (w *Worker) refuse(rw http.ResponseWriter, r *http.Request) {
	w.refused.Add(1)
	drainBody(r)
	engineError(rw, http.StatusBadRequest, 1, "Session ID unknown")
}

// record begins to record a request that the worker answers itself. Our engine
// records what it serves.
func (w *Worker) record(rw http.ResponseWriter, r *http.Request) *trace.Request {
	sid := strings.Clone(r.URL.Query().Get("sid")) // or the ring would keep the whole URL
	rec := trace.Begin(w.ring, rw, r, w.boot.Slot, sid)
	if name, _, ok := session.Split(sid); ok {
		if slot, ok := w.slotOf(name); ok {
			rec.Owner(slot)
		}
	}
	if via, ok := viaOf(r.Context()); ok {
		rec.Via(via)
	}
	return rec
}

// recorded is h with what it answers recorded.
func (w *Worker) recorded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rec := w.record(rw, r)
		defer rec.End()
		h.ServeHTTP(rec.Writer(), r)
	})
}

func answer(status, code int, message string) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		drainBody(r)
		engineError(rw, status, code, message)
	})
}

// drainBody reads what comes with a request that is refused: where the client
// (or a proxy, as nginx by default) asks to close the connection, net/http would
// reset it under the body, and the answer may be lost.
func drainBody(r *http.Request) {
	if r.ContentLength > 0 && r.ContentLength <= maxPayload {
		_, _ = io.CopyN(io.Discard, r.Body, r.ContentLength)
	}
}

// engineError answers as Engine.IO does: {"code":…,"message":"…"}.
func engineError(rw http.ResponseWriter, status, code int, message string) {
	b, _ := json.Marshal(struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}{code, message})
	rw.Header().Set("Content-Type", "application/json")
	rw.Header().Set("Cache-Control", "no-store")
	rw.WriteHeader(status)
	_, _ = rw.Write(b)
}
