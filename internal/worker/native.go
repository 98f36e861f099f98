package worker

import (
	"context"
	"net/http"
	"time"

	"github.com/samedoor/samedoor/internal/session"
	"github.com/samedoor/samedoor/internal/trace"
	"github.com/samedoor/samedoor/socketio"
	eio "github.com/samedoor/samedoor/socketio/engine"
)

// native is our own Socket.IO server. It hands out sids with the worker's name
// in them, and tells what became of each request.
type native struct{ *socketio.Server }

func newNative(w *Worker) engine {
	n := native{socketio.NewServer(socketio.Options{
		Engine: eio.Options{
			MaxPayload: maxPayload,
			MaxQueue:   maxBacklog,
			GenerateID: func(*http.Request) string { return session.Tag(w.name, eio.NewID()) },
			OnSessions: w.touch,
			Trace:      w.traceNative,
		},
		Logger: w.log,
	})}
	for _, ns := range []string{"/", "/ws"} {
		n.Of(ns).OnConnection(func(s *socketio.Socket) { w.connected(ns, nativeSocket{s}) })
	}
	return n
}

func (n native) has(sid string) bool { return n.Engine().Has(sid) }
func (n native) sessions() int       { return n.Engine().Len() }
func (n native) close()              { _ = n.Close() }

func (n native) drain(ctx context.Context) { _ = n.Shutdown(ctx) }

func (n native) nudge(sid string) {
	if s, ok := n.Engine().Session(sid); ok {
		s.Nudge()
	}
}

// traceNative records the requests that the engine serves.
func (w *Worker) traceNative(r *http.Request) func(eio.Outcome) {
	e := trace.Entry{Method: trace.Known(r.Method, http.MethodGet, http.MethodPost), Slot: w.boot.Slot, Owner: &w.boot.Slot}
	if via, ok := viaOf(r.Context()); ok {
		e.Via = &via
	}
	return func(o eio.Outcome) {
		if o.SID == "" || o.Status == 0 { // no session came of it, or the client had left
			return
		}
		e := e
		e.SID, e.Step, e.Status = o.SID, o.Step, o.Status
		e.Transport = trace.Known(o.Transport, eio.Polling, eio.WebSocket)
		e.At, e.MS = o.Began.UnixMilli(), float64(o.Took.Microseconds())/1000
		if o.Step == eio.StepClose {
			e.At = time.Now().UnixMilli()
		}
		e.Sent, e.Received = o.Sent, o.Received
		if o.Err != nil {
			e.Error = &o.Err.Message
		}
		w.ring.Add(e)
	}
}

// nativeSocket is one of its sockets as the worker sees it.
type nativeSocket struct{ *socketio.Socket }

func (s nativeSocket) Emit(event string, args ...any) { _ = s.Socket.Emit(event, args...) }
func (s nativeSocket) sid() string                    { return s.Session().ID() }
func (s nativeSocket) addr() string                   { return s.Session().Handshake().RemoteAddr }
func (s nativeSocket) auth() any                      { return decoded(s.Handshake().Auth) }

func (s nativeSocket) on(event string, f func([]any, func(...any))) {
	s.On(event, func(e *socketio.Event) {
		if !e.WantsAck() {
			f(e.All(), nil)
			return
		}
		f(e.All(), func(args ...any) { _ = e.Ack(args...) })
	})
}

func (s nativeSocket) onLeave(f func(reason string)) {
	s.OnDisconnect(func(d socketio.Disconnection) { f(d.Reason) })
}
