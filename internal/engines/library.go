package engines

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
	Options
	http http.Handler
	io   *socket.Server
}

func newLibrary(o Options) *library {
	log.SetOutput(io.Discard) // the library reports through it what clients do wrong
	opts := socket.DefaultServerOptions()
	opts.SetServeClient(false)
	opts.SetConnectTimeout(5 * time.Second) // a client without a namespace is closed
	opts.SetMaxHttpBufferSize(MaxPayload)
	opts.SetTransports(types.NewSet[transports.TransportCtor](eio.Polling, eio.WebSocket))
	opts.SetAllowEIO3(false)

	e := &library{Options: o, io: socket.NewServer(nil, nil)}
	e.http = checked(gated(ownOriginCheck(wholeBody(e.io.ServeHandler(opts)))))
	_ = e.io.Engine().On("connection", e.opened)
	for _, ns := range o.Namespaces {
		_ = e.io.Of(ns, nil).On("connection", func(args ...any) {
			o.Connected(ns, librarySocket{args[0].(*socket.Socket), e})
		})
	}
	return e
}

// ServeHTTP puts the worker's name into the sid that an open request is
// answered with, takes it off later ones, and records them.
func (e *library) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	sid := q.Get("sid")
	rec := e.Record.Begin(rw, r, sid)
	defer rec.End()
	r = r.WithContext(context.WithValue(r.Context(), recordKey{}, rec))
	if sid != "" {
		r = r.Clone(r.Context())
		q.Set("sid", e.raw(sid))
		r.URL.RawQuery = q.Encode()
		e.http.ServeHTTP(rec.Writer(), r)
		return
	}
	rec.Owner(e.Record.Slot)
	out := session.Tagging(rec.Writer(), e.Record.Name, rec.SetSID)
	e.http.ServeHTTP(out, r)
	session.Finish(out)
}

// raw is a sid as the library knows it. One that began as a WebSocket is not
// tagged: its answer passes by no HTTP layer.
func (e *library) raw(sid string) string {
	if name, raw, ok := session.Split(sid); ok && name == e.Record.Name {
		return raw
	}
	return sid
}

func (e *library) Has(sid string) bool {
	_, ok := e.io.Engine().Clients().Load(e.raw(sid))
	return ok
}

func (e *library) Sessions() int { return e.io.Engine().Clients().Len() }

func (e *library) Close() { e.io.Engine().Close() }

// drain looks now and then: the library does not tell.
func (e *library) Drain(ctx context.Context) {
	e.Close()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for e.Sessions() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (e *library) Nudge(string) {} // its polls cannot be answered with nothing

// recordKey finds the record of a request in its context.
type recordKey struct{}

// checked refuses what must not reach the library, which ends the process over
// some of it.
func checked(h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		next := h
		switch kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); {
		case r.URL.Query().Get("EIO") != "4":
			next = Refusal(http.StatusBadRequest, 5, "Unsupported protocol version")
		case kind == "application/octet-stream": // Engine.IO 3's binary payloads
			next = Refusal(http.StatusBadRequest, 3, "Bad request")
		case r.Method != http.MethodGet && r.Method != http.MethodPost:
			next = Refusal(http.StatusBadRequest, 2, "Bad handshake method")
		case r.ContentLength > MaxPayload:
			next = http.HandlerFunc(tooLarge)
		}
		next.ServeHTTP(rw, r)
	})
}

func tooLarge(rw http.ResponseWriter, _ *http.Request) {
	writeError(rw, http.StatusRequestEntityTooLarge, 3, "Payload too large: at most "+strconv.Itoa(MaxPayload)+" bytes")
}

// wholeBody reads all of a body first: of one that is cut short the library
// would run what it can.
func wholeBody(h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, MaxPayload))
		if errors.As(err, new(*http.MaxBytesError)) {
			tooLarge(rw, r)
			return
		}
		if err != nil { // the client has left, or was too slow
			writeError(rw, http.StatusBadRequest, 3, "Bad request")
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
	e.OnSessions()
	_ = s.On("close", func(...any) { e.OnSessions() })
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
func (c librarySocket) Addr() string                   { return c.s.Handshake().Address }
func (c librarySocket) Auth() any                      { return c.s.Handshake().Auth }

func (c librarySocket) SID() string {
	sid := c.s.Conn().Id()
	if c.s.Request().Query().Peek("transport") == "polling" {
		return session.Tag(c.e.Record.Name, sid)
	}
	return sid
}

func (c librarySocket) On(event string, f func([]any, func(...any))) {
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

func (c librarySocket) OnLeave(f func(reason string)) {
	_ = c.s.On("disconnect", func(args ...any) {
		reason, _ := args[0].(string)
		f(reason)
	})
	// The library keeps quiet about a client that was gone before it was there.
	if state := c.s.Conn().ReadyState(); state != "open" && state != "opening" {
		f("transport close")
	}
}
