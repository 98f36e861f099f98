// Package engine is a server for Engine.IO, protocol 4: sessions over HTTP long
// polling or WebSocket that begin with the one and are upgraded to the other,
// each an ordered stream of text and binary messages both ways. Package
// socketio builds upon it.
package engine

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"iter"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/samedoor/samedoor/socketio/internal/wheel"
)

// A Server is an http.Handler for the requests of Engine.IO, whatever their path.
type Server struct {
	opts   Options
	accept func(*Session) Handler
	wheel  *wheel.Wheel
	upPoll []byte // the open packet after the sid, when upgrades are offered
	noUp   []byte

	mu       sync.RWMutex
	sessions map[string]*Session
	told     int // of them, how many are over and their clients know
	closed   bool
	drained  chan struct{}  // closed when the server is, and no client is left that does not know
	tasks    sync.WaitGroup // goroutines that read
}

// New returns a Server. It calls accept with each new session, before anything
// is received from it: what accept sends comes right after the handshake.
func New(opts Options, accept func(*Session) Handler) *Server {
	o := opts.withDefaults()
	tick := min(max(min(o.PingInterval, o.PingTimeout)/20, 5*time.Millisecond), 100*time.Millisecond)
	e := &Server{opts: o, accept: accept, wheel: wheel.New(tick), sessions: map[string]*Session{}, drained: make(chan struct{})}
	rest := `],"pingInterval":` + strconv.FormatInt(o.PingInterval.Milliseconds(), 10) +
		`,"pingTimeout":` + strconv.FormatInt(o.PingTimeout.Milliseconds(), 10) +
		`,"maxPayload":` + strconv.Itoa(o.MaxPayload) + `}`
	e.noUp = []byte(`,"upgrades":[` + rest)
	e.upPoll = e.noUp
	if !o.NoUpgrade && slices.Contains(o.Transports, WebSocket) {
		e.upPoll = []byte(`,"upgrades":["websocket"` + rest)
	}
	return e
}

// Session returns the session with this id.
func (e *Server) Session(sid string) (*Session, bool) {
	e.mu.RLock()
	s, ok := e.sessions[sid]
	e.mu.RUnlock()
	return s, ok
}

// Has says whether this server holds the session, or did until a moment ago and
// still answers for it.
func (e *Server) Has(sid string) bool { _, ok := e.Session(sid); return ok }

// Len is the number of sessions.
func (e *Server) Len() int {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return len(e.sessions) - e.told
}

// Sessions are those that there are now.
func (e *Server) Sessions() iter.Seq[*Session] {
	e.mu.RLock()
	all := slices.Collect(maps.Values(e.sessions))
	e.mu.RUnlock()
	return slices.Values(all)
}

// Close closes all sessions, telling their clients, and refuses new ones with
// CodeForbidden. It does not wait; Shutdown does.
func (e *Server) Close() error {
	e.mu.Lock()
	e.closed = true
	e.check()
	e.mu.Unlock()
	for s := range e.Sessions() {
		s.CloseWith(ReasonShutdown, nil)
	}
	return nil
}

// Shutdown is Close, and waits until the clients know: those that poll by their
// next poll, the others by a WebSocket's close. When ctx is done it cuts the
// connections that are left, and returns ctx's error.
func (e *Server) Shutdown(ctx context.Context) error {
	all := slices.Collect(e.Sessions())
	_ = e.Close()
	done := make(chan struct{})
	go func() { e.tasks.Wait(); <-e.drained; close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	for _, s := range all {
		s.mu.Lock()
		conn, probe := s.conn, s.probe
		s.mu.Unlock()
		if conn != nil {
			conn.Close()
		}
		if probe != nil {
			probe.Close()
		}
	}
	return ctx.Err()
}

// track runs f on a goroutine that Shutdown waits for.
func (e *Server) track(f func()) {
	e.tasks.Add(1)
	go func() { defer e.tasks.Done(); f() }()
}

// add registers a session, unless the server is closed or the id taken.
func (e *Server) add(s *Session) bool {
	e.mu.Lock()
	_, taken := e.sessions[s.state.SID]
	ok := !taken && !e.closed && s.state.SID != ""
	if ok {
		e.sessions[s.state.SID] = s
	}
	e.mu.Unlock()
	if ok {
		e.opts.OnSessions()
	}
	return ok
}

// remove forgets a session.
func (e *Server) remove(s *Session) {
	e.wheel.Stop(&s.timer)
	e.mu.Lock()
	held := e.sessions[s.state.SID] == s
	if held {
		delete(e.sessions, s.state.SID)
		if s.told {
			e.told--
		}
		e.check()
	}
	e.mu.Unlock()
	if held {
		e.opts.OnSessions()
	}
}

// tell notes that a session is over and its client knows. It says false of one
// that was forgotten.
func (e *Server) tell(s *Session) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sessions[s.state.SID] != s || s.told {
		return false
	}
	s.told = true
	e.told++
	e.check()
	return true
}

// check notes, with mu locked, whether the server has been closed for everybody.
func (e *Server) check() {
	if !e.closed || len(e.sessions) > e.told {
		return
	}
	select {
	case <-e.drained:
	default:
		close(e.drained)
	}
}

// NewID returns 20 random characters, 120 bits.
func NewID() string {
	var b [15]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func (e *Server) openPacket(sid, transport string) Packet {
	rest := e.noUp
	if transport == Polling {
		rest = e.upPoll
	}
	return control(typeOpen, `{"sid":`+strconv.Quote(sid)+string(rest))
}

func stack() string { return string(debug.Stack()) }

func newSession(e *Server, sid, transport string, r *http.Request, now time.Time) *Session {
	s := &Session{server: e, handler: nothing{}}
	s.state = State{SID: sid, Transport: transport, Handshake: Handshake{
		Time: now, RemoteAddr: r.RemoteAddr, Host: r.Host, URL: r.URL, Header: r.Header, TLS: r.TLS != nil,
	}}
	return s
}
