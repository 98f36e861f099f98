package socketio

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/samedoor/samedoor/socketio/engine"
)

// A Handshake is what a client said when it connected to a namespace.
type Handshake struct {
	*engine.Handshake                 // the request that began its session
	Auth              json.RawMessage // the client's auth: an object, {} by default
	Time              time.Time
}

// BindAuth decodes the client's auth.
func (h *Handshake) BindAuth(into any) error { return json.Unmarshal(h.Auth, into) }

type status uint8

const (
	connecting status = iota
	connected
	disconnected
)

// A Socket is a client's connection to a namespace.
type Socket struct {
	id        string
	nsp       *Namespace
	client    *client
	handshake *Handshake

	mu       sync.Mutex
	status   status
	data     map[string]any
	handlers []handler
	use      []func(*Event) error
	acks     map[uint64]*ack
	ctx      context.Context // made when asked for
	stop     context.CancelFunc
}

func newSocket(n *Namespace, c *client, h *Handshake) *Socket {
	return &Socket{id: engine.NewID(), nsp: n, client: c, handshake: h}
}

// ID is the socket's id, which its client knows too. It is not the session's.
func (s *Socket) ID() string { return s.id }

// Namespace is where the socket is.
func (s *Socket) Namespace() *Namespace { return s.nsp }

// Session is the connection below, shared by the client's sockets.
func (s *Socket) Session() *engine.Session { return s.client.sess }

// Handshake is what the client said when it connected.
func (s *Socket) Handshake() *Handshake { return s.handshake }

// Connected says whether the socket is.
func (s *Socket) Connected() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status == connected
}

// Context is done when the socket is disconnected.
func (s *Socket) Context() context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx == nil {
		s.ctx, s.stop = context.WithCancel(context.Background())
		if s.status == disconnected {
			s.stop()
		}
	}
	return s.ctx
}

// Set keeps a value with the socket; FetchSockets finds it from other servers.
func (s *Socket) Set(key string, value any) {
	s.mu.Lock()
	if s.data == nil {
		s.data = map[string]any{}
	}
	s.data[key] = value
	s.mu.Unlock()
}

// Get returns a value that was Set, or nil.
func (s *Socket) Get(key string) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data[key]
}

// Data is a copy of what was Set.
func (s *Socket) Data() map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.data)
}

// Join adds the socket to rooms.
func (s *Socket) Join(rooms ...string) {
	s.mu.Lock()
	gone := s.status == disconnected
	s.mu.Unlock()
	if !gone {
		s.nsp.adapter.AddAll(s.id, rooms)
	}
}

// Leave takes it out of rooms.
func (s *Socket) Leave(rooms ...string) {
	for _, r := range rooms {
		s.nsp.adapter.Del(s.id, r)
	}
}

// Rooms are the rooms that the socket is in, that of its own id included.
func (s *Socket) Rooms() []string { return s.nsp.adapter.SocketRooms(s.id) }

// Broadcast addresses all sockets of the namespace but this one.
func (s *Socket) Broadcast() BroadcastOperator { return s.nsp.All().Except(s.id) }

// To addresses the other sockets that are in any of the rooms.
func (s *Socket) To(rooms ...string) BroadcastOperator { return s.Broadcast().To(rooms...) }

// In is To.
func (s *Socket) In(rooms ...string) BroadcastOperator { return s.To(rooms...) }

// Except addresses the other sockets that are in none of the rooms.
func (s *Socket) Except(rooms ...string) BroadcastOperator { return s.Broadcast().Except(rooms...) }

// Disconnect disconnects the socket. With closeConnection the connection below
// is closed too, and with it the client's sockets in other namespaces.
func (s *Socket) Disconnect(closeConnection bool) {
	c := s.client
	if !closeConnection {
		if s.Connected() {
			_ = c.sess.Send(control(typeDisconnect, s.nsp.name, nil))
			s.close(ReasonServerDisconnect, nil)
		}
		return
	}
	c.mu.Lock()
	all := slices.Clone(c.sockets)
	c.mu.Unlock()
	for _, s := range all {
		_ = c.sess.Send(control(typeDisconnect, s.nsp.name, nil))
		s.close(ReasonServerDisconnect, nil)
	}
	c.sess.CloseWith(ReasonServerClose, nil)
}

// connect tells the client that it is connected.
func (s *Socket) connect() bool {
	c := s.client
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return false
	}
	first := len(c.sockets) == 0
	c.sockets = append(c.sockets, s)
	c.left = slices.DeleteFunc(c.left, func(n string) bool { return n == s.nsp.name })
	c.mu.Unlock()
	if first {
		c.server.wheel.Stop(&c.timer)
	}
	s.mu.Lock()
	s.status = connected
	s.mu.Unlock()
	_ = c.sess.Send(control(typeConnect, s.nsp.name, connectPayload{s.id}))
	return true
}

type connectPayload struct {
	SID string `json:"sid"`
}

// close disconnects the socket at once; its handlers are told in their turn.
func (s *Socket) close(reason string, err error) {
	c := s.client
	c.mu.Lock()
	i := slices.Index(c.sockets, s)
	if i >= 0 {
		c.sockets = slices.Delete(slices.Clone(c.sockets), i, i+1)
		if reason == ReasonServerDisconnect && len(c.left) < c.server.opts.MaxNamespaces {
			c.left = append(c.left, s.nsp.name)
		}
	}
	c.mu.Unlock()
	if i < 0 {
		return
	}
	s.cancel()
	s.mu.Lock()
	s.status = disconnected
	s.mu.Unlock()
	c.do(func() { s.leave(reason, err) })
}

// leave tells the handlers, and takes the socket out of its namespace.
func (s *Socket) leave(reason string, err error) {
	d := Disconnection{Reason: reason, Err: err}
	s.each(kindDisconnecting, func(h handler) { h.gone(d) })
	s.mu.Lock()
	s.status = disconnected
	s.mu.Unlock()
	s.cancel()
	n := s.nsp
	n.mu.Lock()
	delete(n.sockets, s.id)
	n.mu.Unlock()
	n.adapter.DelAll(s.id)
	s.each(kindDisconnect, func(h handler) { h.gone(d) })
	n.server.forget(n)
}

// cancel ends what waits for the client.
func (s *Socket) cancel() {
	s.mu.Lock()
	acks := s.acks
	s.acks = nil
	if s.stop != nil {
		s.stop()
	}
	s.mu.Unlock()
	for _, a := range acks {
		s.nsp.server.contain("acknowledgement", func() { a.fail(ErrDisconnected) })
	}
}
