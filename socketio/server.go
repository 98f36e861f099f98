// Package socketio is a server for Socket.IO, protocol 5: what the clients of
// Socket.IO 3 and 4 speak. Concepts go by the names they have in Socket.IO's
// documentation: a Server has Namespaces, a Namespace has Sockets, Sockets join
// rooms, events carry arguments and may be acknowledged.
//
// A Server is an http.Handler, to be mounted at /socket.io/.
//
// Handlers of one socket run one at a time, in the order in which the client
// sent its events. A handler may block: the connection stays alive meanwhile,
// and acknowledgements that it waits for arrive.
package socketio

import (
	"context"
	"net/http"
	"regexp"
	"runtime/debug"
	"sync"
	"time"

	"github.com/samedoor/samedoor/socketio/engine"
	"github.com/samedoor/samedoor/socketio/internal/wheel"
)

// A Server serves Socket.IO. Its namespace "/" always exists; most methods of
// Namespace are there for that one too.
type Server struct {
	*Namespace // "/"

	opts   Options
	engine *engine.Server
	wheel  *wheel.Wheel // connect timeouts

	mu      sync.RWMutex
	nsps    map[string]*Namespace
	parents []*Namespace
}

// NewServer returns a Server. Namespaces and handlers are best added before it
// serves requests.
func NewServer(opts Options) *Server {
	s := &Server{opts: opts.withDefaults(), nsps: map[string]*Namespace{}}
	s.wheel = wheel.New(min(100*time.Millisecond, s.opts.ConnectTimeout/20))
	s.engine = engine.New(s.opts.Engine, func(sess *engine.Session) engine.Handler {
		return newClient(s, sess)
	})
	s.Namespace = s.Of("/")
	return s
}

// ServeHTTP serves the requests of Engine.IO.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.engine.ServeHTTP(w, r) }

// Engine is the server of the connections below: sessions by id, their number.
func (s *Server) Engine() *engine.Server { return s.engine }

// Of returns the namespace of this name, which begins with a slash (it is added
// if it does not). The namespace is made if there is none.
func (s *Server) Of(name string) *Namespace {
	if name == "" || name[0] != '/' {
		name = "/" + name
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.nsps[name]
	if n == nil {
		n = newNamespace(s, name)
		s.nsps[name] = n
	}
	return n
}

// OfFunc returns the parent of all namespaces that match accepts: they are made
// as clients connect to them, have the parent's middlewares and handlers, and
// are forgotten when the last socket has left. What is emitted to the parent
// goes to all of them. Its own rooms are empty.
func (s *Server) OfFunc(match func(name string, h *Handshake) bool) *Namespace {
	p := newNamespace(s, "/_"+engine.NewID())
	p.match = match
	s.mu.Lock()
	s.parents = append(s.parents, p)
	s.mu.Unlock()
	return p
}

// OfRegexp is OfFunc with a pattern for the name.
func (s *Server) OfRegexp(re *regexp.Regexp) *Namespace {
	return s.OfFunc(func(name string, _ *Handshake) bool { return re.MatchString(name) })
}

// namespace finds, or makes from a parent, what a client wants to connect to.
// The namespace's count of joining clients keeps it from being forgotten.
func (s *Server) namespace(name string, h *Handshake) *Namespace {
	s.mu.RLock()
	n, parents := s.nsps[name], s.parents
	if n != nil {
		n.joining.Add(1)
	}
	s.mu.RUnlock()
	if n != nil {
		return n
	}
	for _, p := range parents {
		if !s.matches(p, name, h) {
			continue
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if n = s.nsps[name]; n == nil {
			n = newNamespace(s, name)
			n.parent = p
			s.nsps[name] = n
		}
		n.joining.Add(1)
		return n
	}
	return nil
}

func (s *Server) matches(p *Namespace, name string, h *Handshake) (ok bool) {
	s.contain("namespace function", func() { ok = p.match(name, h) })
	return ok
}

// forget removes a dynamic namespace without sockets.
func (s *Server) forget(n *Namespace) {
	if n.parent == nil {
		return
	}
	s.mu.Lock()
	n.mu.Lock()
	gone := len(n.sockets) == 0 && n.joining.Load() == 0 && s.nsps[n.name] == n
	if gone {
		delete(s.nsps, n.name)
	}
	n.mu.Unlock()
	s.mu.Unlock()
	if gone {
		n.adapter.Close()
	}
}

// children are the namespaces of a parent.
func (s *Server) children(p *Namespace) (out []*Namespace) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, n := range s.nsps {
		if n.parent == p {
			out = append(out, n)
		}
	}
	return out
}

// Close disconnects all clients, which will try to connect again, and refuses
// new ones.
func (s *Server) Close() error {
	err := s.engine.Close()
	s.closeAdapters()
	return err
}

// Shutdown is Close, and waits until the connections have ended or ctx is done.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.engine.Shutdown(ctx)
	s.closeAdapters()
	return err
}

func (s *Server) closeAdapters() {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, n := range s.nsps {
		n.adapter.Close()
	}
}

// contain keeps a panic of the program's function to this call.
func (s *Server) contain(what string, f func()) {
	defer func() {
		if p := recover(); p != nil {
			s.opts.Logger.Error("socketio: panic in "+what, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	f()
}
