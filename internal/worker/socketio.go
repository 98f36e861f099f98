package worker

import (
	"net/http"
	"time"

	"github.com/samedoor/samedoor/internal/engines"
	"github.com/samedoor/samedoor/internal/forward"
	"github.com/samedoor/samedoor/internal/session"
)

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
	_, forwarded := forward.Via(r.Context())

	switch allowed, cross := w.origins.Check(r); {
	case !allowed:
		w.record.Handler(engines.Refusal(http.StatusForbidden, 4, "Origin not allowed: list it with --origins")).ServeHTTP(rw, r)
		return
	case cross:
		w.origins.Allow(rw.Header(), r)
	}
	if r.Method == http.MethodOptions {
		rw.WriteHeader(http.StatusNoContent)
		return
	}
	rc := http.NewResponseController(rw)
	_ = rc.SetWriteDeadline(time.Now().Add(pollDeadline)) // a connection that becomes a WebSocket is freed of it

	switch {
	case q.Has("j"): // a script of any page could read the answer
		w.record.Handler(engines.Refusal(http.StatusBadRequest, 3, "JSONP is not served")).ServeHTTP(rw, r)
	case sid == "":
		w.open(rw, r)
	case w.engine.Has(sid):
		w.engine.ServeHTTP(rw, r)
	case tagged && name != w.record.Name && !forwarded:
		w.stranger.ServeHTTP(rw, r)
	default: // ours, but over; not anybody's; or forwarded to the wrong worker
		w.refusal.ServeHTTP(rw, r)
	}
}

// refuse answers a request for a session that this worker does not hold, as
// Socket.IO does: the client starts over.
func (w *Worker) refuse(rw http.ResponseWriter, r *http.Request) {
	w.refused.Add(1)
	engines.Refuse(rw, r, http.StatusBadRequest, 1, "Session ID unknown")
}
