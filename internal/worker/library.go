package worker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"mime"
	"net/http"
	"strconv"
	"time"

	eio "github.com/zishang520/socket.io/servers/engine/v3"
	"github.com/zishang520/socket.io/servers/engine/v3/transports"
	"github.com/zishang520/socket.io/servers/socket/v3"
	"github.com/zishang520/socket.io/v3/pkg/types"

	"github.com/samedoor/samedoor/internal/session"
	"github.com/samedoor/samedoor/internal/trace"
)

// library is the Socket.IO server of github.com/zishang520/socket.io, and all
// that it takes to make it serve: see also gate.go, backlog.go and
// internal/session/handshake.go.
type library struct {
	w    *Worker
	http http.Handler
	io   *socket.Server
}

func newLibrary(w *Worker) engine {
	log.SetOutput(io.Discard) // the library reports through it what clients do wrong
	opts := socket.DefaultServerOptions()
	opts.SetServeClient(false)
	opts.SetConnectTimeout(5 * time.Second) // a client without a namespace is closed
	opts.SetMaxHttpBufferSize(maxPayload)
	opts.SetTransports(types.NewSet[transports.TransportCtor](eio.Polling, eio.WebSocket))
	opts.SetAllowEIO3(false)

	e := &library{w: w, io: socket.NewServer(nil, nil)}
	e.http = checked(gated(ownOriginCheck(wholeBody(e.io.ServeHandler(opts)))))
	_ = e.io.Engine().On("connection", e.opened)
	for _, ns := range []string{"/", "/ws"} {
		_ = e.io.Of(ns, nil).On("connection", func(args ...any) {
			w.connected(ns, librarySocket{args[0].(*socket.Socket), e})
		})
	}
	return e
}

// ServeHTTP puts the worker's name into the sid that an open request is
// answered with, takes it off later ones, and records them.
func (e *library) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	rec := e.w.record(rw, r)
	defer rec.End()
	r = r.WithContext(context.WithValue(r.Context(), recordKey{}, rec))
	q := r.URL.Query()
	if sid := q.Get("sid"); sid != "" {
		r = r.Clone(r.Context())
		q.Set("sid", e.raw(sid))
		r.URL.RawQuery = q.Encode()
		e.http.ServeHTTP(rec.Writer(), r)
		return
	}
	rec.Owner(e.w.boot.Slot)
	out := session.Tagging(rec.Writer(), e.w.name, rec.SetSID)
	e.http.ServeHTTP(out, r)
	session.Finish(out)
}

// raw is a sid as the library knows it. One that began as a WebSocket is not
// tagged: its answer passes by no HTTP layer.
func (e *library) raw(sid string) string {
	if name, raw, ok := session.Split(sid); ok && name == e.w.name {
		return raw
	}
	return sid
}

func (e *library) has(sid string) bool {
	_, ok := e.io.Engine().Clients().Load(e.raw(sid))
	return ok
}

func (e *library) sessions() int { return e.io.Engine().Clients().Len() }

func (e *library) close() { e.io.Engine().Close() }

// drain looks now and then: the library does not tell.
func (e *library) drain(ctx context.Context) {
	e.close()
	for e.sessions() > 0 && pause(ctx, 50*time.Millisecond) {
	}
}

func (e *library) nudge(string) {} // its polls cannot be answered with nothing

// recordKey finds the record of a request in its context.
type recordKey struct{}

// checked refuses what must not reach the library, which ends the process over
// some of it.
func checked(h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		next := h
		switch kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); {
		case r.URL.Query().Get("EIO") != "4":
			next = answer(http.StatusBadRequest, 5, "Unsupported protocol version")
		case kind == "application/octet-stream": // Engine.IO 3's binary payloads
			next = answer(http.StatusBadRequest, 3, "Bad request")
		case r.Method != http.MethodGet && r.Method != http.MethodPost:
			next = answer(http.StatusBadRequest, 2, "Bad handshake method")
		case r.ContentLength > maxPayload:
			next = http.HandlerFunc(tooLarge)
		}
		next.ServeHTTP(rw, r)
	})
}

func tooLarge(rw http.ResponseWriter, _ *http.Request) {
	engineError(rw, http.StatusRequestEntityTooLarge, 3, "Payload too large: at most "+strconv.Itoa(maxPayload)+" bytes")
}

// wholeBody reads all of a body first: of one that is cut short the library
// would run what it can.
func wholeBody(h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxPayload))
		if errors.As(err, new(*http.MaxBytesError)) {
			tooLarge(rw, r)
			return
		}
		if err != nil { // the client has left, or was too slow
			engineError(rw, http.StatusBadRequest, 3, "Bad request")
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		h.ServeHTTP(rw, r)
	})
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
// what one that begins as a WebSocket is called.
func (e *library) opened(args ...any) {
	s, ok := args[0].(eio.Socket)
	if !ok {
		return
	}
	if s.ReadyState() == "closed" { // while it was opened: the library would keep it for ever
		e.io.Engine().Clients().Delete(s.Id())
		return
	}
	e.w.touch()
	_ = s.On("close", func(...any) { e.w.touch() })
	boundBacklog(s)
	if s.Transport().Name() != transports.WEBSOCKET {
		return
	}
	if rec, ok := s.Request().Request().Context().Value(recordKey{}).(*trace.Request); ok {
		rec.SetSID(s.Id())
	}
}

// librarySocket is one of its sockets as the worker sees it.
type librarySocket struct {
	s *socket.Socket
	e *library
}

func (c librarySocket) ID() string                     { return string(c.s.Id()) }
func (c librarySocket) Emit(event string, args ...any) { _ = c.s.Emit(event, args...) }
func (c librarySocket) addr() string                   { return c.s.Handshake().Address }
func (c librarySocket) auth() any                      { return c.s.Handshake().Auth }

func (c librarySocket) sid() string {
	sid := c.s.Conn().Id()
	if c.s.Request().Query().Peek("transport") == "polling" {
		return session.Tag(c.e.w.name, sid)
	}
	return sid
}

func (c librarySocket) on(event string, f func([]any, func(...any))) {
	_ = c.s.On(event, func(args ...any) {
		if n := len(args); n > 0 {
			if ack, ok := args[n-1].(socket.Ack); ok {
				f(args[:n-1], func(args ...any) { ack(args, nil) })
				return
			}
		}
		f(args, nil)
	})
}

func (c librarySocket) onLeave(f func(reason string)) {
	_ = c.s.On("disconnect", func(args ...any) {
		reason, _ := args[0].(string)
		f(reason)
	})
	// The library keeps quiet about a client that was gone before it was there.
	if state := c.s.Conn().ReadyState(); state != "open" && state != "opening" {
		f("transport close")
	}
}
