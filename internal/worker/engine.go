package worker

import (
	"io"
	"log"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	eio "github.com/zishang520/socket.io/servers/engine/v3"
	"github.com/zishang520/socket.io/servers/engine/v3/transports"
	"github.com/zishang520/socket.io/servers/socket/v3"
	"github.com/zishang520/socket.io/v3/pkg/types"

	"github.com/samedoor/samedoor/internal/chat"
	"github.com/samedoor/samedoor/internal/session"
	"github.com/samedoor/samedoor/internal/trace"
)

// EngineName is what /cluster and --engine call the Socket.IO server.
const EngineName = "zishang520"

// engine is the Socket.IO server: all that knows the library.
type engine struct {
	http.Handler
	w       *Worker
	io      *socket.Server
	sockets atomic.Int64 // connected, in all namespaces
}

func newEngine(w *Worker) *engine {
	log.SetOutput(io.Discard) // the library reports through it what clients do wrong
	opts := socket.DefaultServerOptions()
	opts.SetServeClient(false)
	opts.SetConnectTimeout(5 * time.Second) // a client without a namespace is closed
	opts.SetMaxHttpBufferSize(maxPayload)
	opts.SetTransports(types.NewSet[transports.TransportCtor](eio.Polling, eio.WebSocket))
	opts.SetAllowEIO3(false)

	e := &engine{w: w, io: socket.NewServer(nil, nil)}
	e.Handler = gated(ownOriginCheck(e.io.ServeHandler(opts)))
	_ = e.io.Engine().On("connection", e.opened)
	for _, ns := range []string{"/", "/ws"} {
		_ = e.io.Of(ns, nil).On("connection", func(args ...any) { e.connected(ns, args[0].(*socket.Socket)) })
	}
	return e
}

// ownOriginCheck takes the Origin away once it was checked: the library has a
// second opinion on WebSockets, and refuses pages of other ports.
func ownOriginCheck(h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		r.Header.Del("Origin")
		h.ServeHTTP(rw, r)
	})
}

// opened bounds what may wait for a new session's client, and tells the trace
// what one that begins as a WebSocket is called: its answer passes by no HTTP
// layer.
func (e *engine) opened(args ...any) {
	s, ok := args[0].(eio.Socket)
	if !ok {
		return
	}
	if s.ReadyState() == "closed" { // while it was opened: the library would keep it for ever
		e.io.Engine().Clients().Delete(s.Id())
		return
	}
	boundBacklog(s)
	if s.Transport().Name() != transports.WEBSOCKET {
		return
	}
	if rec, ok := s.Request().Request().Context().Value(recordKey{}).(*trace.Request); ok {
		rec.SetSID(s.Id())
	}
}

func (e *engine) has(sid string) bool {
	_, ok := e.io.Engine().Clients().Load(sid)
	return ok
}

func (e *engine) sessions() int { return e.io.Engine().Clients().Len() }

// close ends all sessions; their clients reconnect.
func (e *engine) close() { e.io.Engine().Close() }

func (e *engine) connected(ns string, s *socket.Socket) {
	w := e.w
	e.sockets.Add(1)
	var member *chat.Member
	if ns == "/" {
		member = w.hub.Join(client{s}, s.Handshake().Auth)
		_ = s.On("chat", func(args ...any) {
			args, ack := splitAck(args)
			member.Chat(args, ack)
		})
		_ = s.On("typing", func(args ...any) {
			args, _ = splitAcks(args)
			member.Typing(args)
		})
	}
	_ = s.On("b:message", func(...any) {
		var port any = w.port()
		if ns == "/" {
			port = "/: " + itoa(w.port())
		}
		_ = s.Emit("s:message", port, map[string]any{
			"slot": w.boot.Slot, "worker": w.boot.ID, "pid": pid, "strategy": w.info.Name,
		})
	})
	_ = s.On("echo", func(args ...any) {
		if args, ack := splitAcks(args); ack != nil {
			ack(args, nil)
		}
	})
	var once sync.Once
	left := func(args ...any) {
		once.Do(func() {
			e.sockets.Add(-1)
			if member != nil {
				member.Leave()
			}
			w.log.Info("disconnect", "namespace", ns, "sid", e.sidOf(s), "reason", first(args))
		})
	}
	_ = s.On("disconnect", left)
	// The library keeps quiet about a client that was gone before it was there.
	if s.Conn().ReadyState() != "open" && s.Conn().ReadyState() != "opening" {
		left("transport close")
	}
}

// sidOf returns the sid that the client was told.
func (e *engine) sidOf(s *socket.Socket) string {
	sid := s.Conn().Id()
	if s.Request().Query().Peek("transport") == "polling" {
		return session.Tag(e.w.name, sid)
	}
	return sid
}

// client is a socket as the chat sees it.
type client struct{ s *socket.Socket }

func (c client) ID() string                     { return string(c.s.Id()) }
func (c client) Emit(event string, args ...any) { _ = c.s.Emit(event, args...) }

// splitAcks takes the acknowledgement off an event's arguments; it is nil if
// the client wants none.
func splitAcks(args []any) ([]any, socket.Ack) {
	if n := len(args); n > 0 {
		if ack, ok := args[n-1].(socket.Ack); ok {
			return args[:n-1], ack
		}
	}
	return args, nil
}

// splitAck is splitAcks for acknowledgements of one value.
func splitAck(args []any) ([]any, func(any)) {
	args, ack := splitAcks(args)
	if ack == nil {
		return args, nil
	}
	return args, func(v any) { ack([]any{v}, nil) }
}

func first(args []any) any {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}
