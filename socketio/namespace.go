package socketio

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Namespace is a channel of its own over the clients' shared connections,
// with its own sockets, rooms, middlewares and handlers.
type Namespace struct {
	server  *Server
	name    string
	parent  *Namespace // of dynamic namespaces
	match   func(string, *Handshake) bool
	adapter Adapter
	ids     atomic.Uint64 // of acknowledgements

	joining    atomic.Int32 // clients whose middlewares run
	mu         sync.RWMutex
	sockets    map[string]*Socket
	use        []func(*Socket) error
	connection []func(*Socket)
	serverSide []serverHandler
}

func newNamespace(s *Server, name string) *Namespace {
	n := &Namespace{server: s, name: name, sockets: map[string]*Socket{}}
	n.adapter = s.opts.Adapter(n)
	return n
}

// Name is the namespace's name, beginning with a slash.
func (n *Namespace) Name() string { return n.name }

// Server is the server that the namespace is of.
func (n *Namespace) Server() *Server { return n.server }

// Adapter is the namespace's adapter.
func (n *Namespace) Adapter() Adapter { return n.adapter }

// Use adds a middleware: a function that is called with each socket before it is
// connected, and refuses it by an error. The client is told the error's text,
// and the Data of an *Error.
func (n *Namespace) Use(middleware func(*Socket) error) {
	n.mu.Lock()
	n.use = append(n.use, middleware)
	n.mu.Unlock()
}

// OnConnection adds a function that is called with each connected socket. No
// event of that socket is handled before the function has returned, so it is
// where to register handlers.
func (n *Namespace) OnConnection(f func(*Socket)) {
	n.mu.Lock()
	n.connection = append(n.connection, f)
	n.mu.Unlock()
}

// hooks returns middlewares and connection handlers, the parent's first.
func (n *Namespace) hooks() (use []func(*Socket) error, connection []func(*Socket)) {
	if n.parent != nil {
		use, connection = n.parent.hooks()
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	return append(use, n.use...), append(connection, n.connection...)
}

// Socket returns a socket of this server by its id.
func (n *Namespace) Socket(id string) (*Socket, bool) {
	n.mu.RLock()
	s, ok := n.sockets[id]
	n.mu.RUnlock()
	return s, ok
}

// Sockets are the sockets connected to this server; FetchSockets finds those of
// the cluster.
func (n *Namespace) Sockets() []*Socket {
	n.mu.RLock()
	defer n.mu.RUnlock()
	out := make([]*Socket, 0, len(n.sockets))
	for _, s := range n.sockets {
		out = append(out, s)
	}
	return out
}

// Len is the number of sockets connected to this server.
func (n *Namespace) Len() int {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return len(n.sockets)
}

// All addresses all sockets of the namespace, in the whole cluster.
func (n *Namespace) All() BroadcastOperator { return BroadcastOperator{nsp: n} }

// To addresses the sockets that are in any of the rooms. A socket is always in
// the room of its own id.
func (n *Namespace) To(rooms ...string) BroadcastOperator { return n.All().To(rooms...) }

// In is To.
func (n *Namespace) In(rooms ...string) BroadcastOperator { return n.All().To(rooms...) }

// Except addresses the sockets that are in none of the rooms.
func (n *Namespace) Except(rooms ...string) BroadcastOperator { return n.All().Except(rooms...) }

// Volatile is All, for events that clients may miss who can't take them at once.
func (n *Namespace) Volatile() BroadcastOperator { return n.All().Volatile() }

// Local addresses the sockets of this server only.
func (n *Namespace) Local() BroadcastOperator { return n.All().Local() }

// Timeout is All, for EmitWithAck.
func (n *Namespace) Timeout(d time.Duration) BroadcastOperator { return n.All().Timeout(d) }

// Emit sends an event to all sockets of the namespace.
func (n *Namespace) Emit(event string, args ...any) error { return n.All().Emit(event, args...) }

// Send is Emit of the event "message".
func (n *Namespace) Send(args ...any) error { return n.All().Emit("message", args...) }

// EmitWithAck sends an event to all sockets, and waits for their answers.
func (n *Namespace) EmitWithAck(ctx context.Context, event string, args ...any) ([]Args, error) {
	return n.All().EmitWithAck(ctx, event, args...)
}

// FetchSockets returns all sockets of the namespace, in the whole cluster.
func (n *Namespace) FetchSockets(ctx context.Context) ([]*RemoteSocket, error) {
	return n.All().FetchSockets(ctx)
}

// SocketsJoin, SocketsLeave and DisconnectSockets act on all sockets.
func (n *Namespace) SocketsJoin(rooms ...string) error  { return n.All().SocketsJoin(rooms...) }
func (n *Namespace) SocketsLeave(rooms ...string) error { return n.All().SocketsLeave(rooms...) }
func (n *Namespace) DisconnectSockets(closeConnection bool) error {
	return n.All().DisconnectSockets(closeConnection)
}

// ServerSideEmit sends an event to the other servers of the cluster, where
// handlers of OnServerSide get it. ErrNotSupported without a cluster's adapter.
func (n *Namespace) ServerSideEmit(event string, args ...any) error {
	return n.adapter.ServerSideEmit(append([]any{event}, args...))
}

// ServerSideEmitWithAck is ServerSideEmit, and returns the first argument of
// each server's answer.
func (n *Namespace) ServerSideEmitWithAck(ctx context.Context, event string, args ...any) ([]any, error) {
	return n.adapter.ServerSideEmitWithAck(ctx, append([]any{event}, args...))
}

type serverHandler struct {
	event string
	f     func(args Args, ack func(any))
}

// OnServerSide handles events of ServerSideEmit on other servers. ack answers;
// it does nothing if no answer is wanted.
func (n *Namespace) OnServerSide(event string, f func(args Args, ack func(any))) {
	n.mu.Lock()
	n.serverSide = append(n.serverSide, serverHandler{event, f})
	n.mu.Unlock()
}

// DeliverServerSide calls the handlers of OnServerSide: for adapters.
func (n *Namespace) DeliverServerSide(event string, args Args, ack func(any)) {
	n.mu.RLock()
	hs := slices.Clone(n.serverSide)
	n.mu.RUnlock()
	if ack == nil {
		ack = func(any) {}
	}
	for _, h := range hs {
		if h.event == event {
			n.server.contain("OnServerSide "+event, func() { h.f(args, ack) })
		}
	}
}
