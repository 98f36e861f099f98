package worker

import (
	"context"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strconv"
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
	sid := strings.Clone(q.Get("sid")) // or what remembers it would keep the whole URL
	if len(sid) > maxSID {
		w.refuse(rw, r)
		return
	}
	rec := trace.Begin(w.ring, rw, r, w.boot.Slot, sid)
	name, _, tagged := session.Split(sid)
	if tagged {
		if slot, ok := w.slotOf(name); ok {
			rec.Owner(slot)
		}
	}
	via, forwarded := viaOf(r.Context())
	if forwarded {
		rec.Via(via)
	}
	r = r.WithContext(context.WithValue(r.Context(), recordKey{}, rec))
	serve := func(h http.Handler) {
		defer rec.End()
		h.ServeHTTP(rec.Writer(), r)
	}

	switch allowed, cross := w.origins.check(r); {
	case !allowed:
		serve(answer(http.StatusForbidden, 4, "Origin not allowed: list it with --origins"))
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

	switch kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); {
	case q.Has("j"): // a script of any page could read the answer
		serve(answer(http.StatusBadRequest, 3, "JSONP is not served"))
	case q.Get("EIO") != "4":
		serve(answer(http.StatusBadRequest, 5, "Unsupported protocol version"))
	case kind == "application/octet-stream": // Engine.IO 3's binary payloads; the library ends the process over some
		serve(answer(http.StatusBadRequest, 3, "Bad request"))
	case r.Method != http.MethodGet && r.Method != http.MethodPost:
		serve(answer(http.StatusBadRequest, 2, "Bad handshake method"))
	case r.ContentLength > maxPayload:
		serve(http.HandlerFunc(tooLarge))
	case sid == "":
		w.open(rw, r)
	case w.engine.has(sid):
		w.engine.ServeHTTP(rw, r)
	case tagged && name != w.name && !forwarded:
		w.stranger.ServeHTTP(rw, r)
	default: // ours, but over; not anybody's; or forwarded to the wrong worker
		serve(http.HandlerFunc(w.refuse))
	}
}

// refuse answers a request for a session that this worker does not hold, as
// Socket.IO does: the client starts over.
func (w *Worker) refuse(rw http.ResponseWriter, r *http.Request) {
	w.refused.Add(1)
	drainBody(r)
	engineError(rw, http.StatusBadRequest, 1, "Session ID unknown")
}

// refuseStranger is refuse for strategies. What becomes of a stranger is
// recorded by the worker that answers it, so a refusal is, a forward isn't.
func (w *Worker) refuseStranger(rw http.ResponseWriter, r *http.Request) {
	rec := recordOf(r)
	defer rec.End()
	w.refuse(rec.Writer(), r)
}

// recordKey finds the request's *trace.Request in its context.
type recordKey struct{}

func recordOf(r *http.Request) *trace.Request { return r.Context().Value(recordKey{}).(*trace.Request) }

func tooLarge(rw http.ResponseWriter, _ *http.Request) {
	engineError(rw, http.StatusRequestEntityTooLarge, 3, "Payload too large: at most "+strconv.Itoa(maxPayload)+" bytes")
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
