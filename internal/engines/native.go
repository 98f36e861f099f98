package engines

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

func newNative(o Options) native {
	n := native{socketio.NewServer(socketio.Options{
		Engine: eio.Options{
			MaxPayload: MaxPayload,
			MaxQueue:   maxBacklog,
			GenerateID: func(*http.Request) string { return session.Tag(o.Record.Name, eio.NewID()) },
			OnSessions: o.OnSessions,
			Trace:      func(r *http.Request) func(eio.Outcome) { return outcome(o.Record, r) },
		},
		Logger: o.Log,
	})}
	for _, ns := range o.Namespaces {
		n.Of(ns).OnConnection(func(s *socketio.Socket) { o.Connected(ns, nativeSocket{s}) })
	}
	return n
}

func (n native) Has(sid string) bool       { return n.Engine().Has(sid) }
func (n native) Sessions() int             { return n.Engine().Len() }
func (n native) Close()                    { _ = n.Server.Close() }
func (n native) Drain(ctx context.Context) { _ = n.Shutdown(ctx) }

func (n native) Nudge(sid string) {
	if s, ok := n.Engine().Session(sid); ok {
		s.Nudge()
	}
}

// outcome records what becomes of a request that the engine serves.
func outcome(record *trace.Recorder, r *http.Request) func(eio.Outcome) {
	e := trace.Entry{Method: trace.Known(r.Method, http.MethodGet, http.MethodPost), Slot: record.Slot, Owner: &record.Slot}
	if via, ok := record.Via(r.Context()); ok {
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
		record.Add(e)
	}
}

// nativeSocket is one of its sockets as the worker sees it.
type nativeSocket struct{ *socketio.Socket }

func (s nativeSocket) Emit(event string, args ...any) { _ = s.Socket.Emit(event, args...) }
func (s nativeSocket) SID() string                    { return s.Session().ID() }
func (s nativeSocket) Addr() string                   { return s.Session().Handshake().RemoteAddr }
func (s nativeSocket) Auth() any                      { return decoded(s.Handshake().Auth) }

func (s nativeSocket) On(event string, f func([]any, func(...any))) {
	s.Socket.On(event, func(e *socketio.Event) {
		if !e.WantsAck() {
			f(e.All(), nil)
			return
		}
		f(e.All(), func(args ...any) { _ = e.Ack(args...) })
	})
}

func (s nativeSocket) OnLeave(f func(reason string)) {
	s.OnDisconnect(func(d socketio.Disconnection) { f(d.Reason) })
}
