package socketio

import (
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/samedoor/samedoor/socketio/engine"
	"github.com/samedoor/samedoor/socketio/internal/wheel"
)

// A client is what its sockets, one per namespace, share: the session below, and
// the order in which things happen to them.
//
// Work for handlers is done by one goroutine at a time. With WebSocket that is
// the one that reads, as long as nothing else is under way: an event costs no
// switch. What comes while a handler runs (read by another goroutine after
// Session.Handoff, or by the next POST) is queued, and done by whoever runs the
// handler.
type client struct {
	server *Server
	sess   *engine.Session
	timer  wheel.Timer // until the first namespace is joined

	mu      sync.Mutex
	dec     decoder
	bins    int // bytes of attachments so far
	sockets []*Socket
	left    []string // namespaces that the server disconnected it from
	queue   []func()
	running bool
	closed  bool
	room    chan struct{} // closed when the queue has become shorter
}

func newClient(s *Server, sess *engine.Session) *client {
	c := &client{server: s, sess: sess}
	c.timer.Fire = func(time.Time) { go c.lonely() }
	s.wheel.Schedule(&c.timer, time.Now().Add(s.opts.ConnectTimeout))
	return c
}

// lonely closes a client that joined no namespace in time.
func (c *client) lonely() {
	c.mu.Lock()
	alone := len(c.sockets) == 0
	c.mu.Unlock()
	if alone {
		c.sess.CloseWith(ReasonServerClose, errors.New("no namespace joined in time"))
	}
}

// Message is called by the session.
func (c *client) Message(data []byte, binary bool) {
	c.mu.Lock()
	if binary {
		c.bins += len(data)
	}
	p, err := c.dec.add(data, binary, &c.server.opts)
	if c.bins > c.server.opts.MaxAttachmentBytes {
		err = errTooMany
	}
	switch {
	case err != nil:
		c.mu.Unlock()
		c.violated(err)
		return
	case p == nil:
		c.mu.Unlock()
		return
	}
	c.bins = 0
	if p.typ == typeAck { // who waits for it may keep the queue from going on
		if s := c.find(p.nsp); s != nil && s.answered(p) {
			c.mu.Unlock()
			return
		}
	}
	// A POST is answered before its events are handled, else a handler that
	// waits for the client's next one would wait in vain.
	if c.running || c.sess.Transport() == engine.Polling {
		c.enqueue(func() { c.handle(p) })
		c.wait()
		c.mu.Unlock()
		return
	}
	c.running = true
	c.mu.Unlock()
	c.handle(p)
	c.work()
}

// do does f in order with the client's packets: now, if nothing is under way,
// or else soon.
func (c *client) do(f func()) {
	c.mu.Lock()
	if c.running {
		c.queue = append(c.queue, f)
		c.mu.Unlock()
		return
	}
	c.running = true
	c.mu.Unlock()
	f()
	c.work()
}

// enqueue, with mu locked, leaves f to a goroutine.
func (c *client) enqueue(f func()) {
	c.queue = append(c.queue, f)
	if !c.running {
		c.running = true
		go c.work()
	}
}

// work does what is queued. Whoever has set running calls it.
func (c *client) work() {
	c.mu.Lock()
	for len(c.queue) > 0 {
		f := c.queue[0]
		c.queue[0] = nil
		c.queue = c.queue[1:]
		if c.room != nil {
			close(c.room)
			c.room = nil
		}
		c.mu.Unlock()
		f()
		c.mu.Lock()
	}
	c.queue = nil
	c.running = false
	c.mu.Unlock()
}

// wait waits, with mu locked, while too much is queued.
func (c *client) wait() {
	for len(c.queue) > c.server.opts.MaxPending && !c.closed {
		if c.room == nil {
			c.room = make(chan struct{})
		}
		room := c.room
		c.mu.Unlock()
		<-room
		c.mu.Lock()
	}
}

// Closed is called by the session.
func (c *client) Closed(reason string, err error) {
	c.server.wheel.Stop(&c.timer)
	c.mu.Lock()
	c.closed = true
	c.dec.pending = nil
	if c.room != nil {
		close(c.room)
		c.room = nil
	}
	sockets := slices.Clone(c.sockets)
	c.mu.Unlock()
	for _, s := range sockets {
		s.cancel()
	}
	c.do(func() { // after the events that came before
		c.mu.Lock()
		sockets := c.sockets
		c.sockets = nil
		c.mu.Unlock()
		for _, s := range sockets {
			s.leave(reason, err)
		}
	})
}

// find returns the socket of a namespace, with mu locked.
func (c *client) find(nsp string) *Socket {
	for _, s := range c.sockets {
		if s.nsp.name == nsp {
			return s
		}
	}
	return nil
}

// handle does what a packet asks for.
func (c *client) handle(p *packet) {
	c.mu.Lock()
	s := c.find(p.nsp)
	known := s != nil || slices.Contains(c.left, p.nsp)
	c.mu.Unlock()
	switch {
	case p.typ == typeConnect && s == nil:
		c.connect(p)
	case !known || p.typ == typeConnect:
		c.violated(errFormat)
	case s == nil: // was on its way when the server disconnected the socket
	case p.typ == typeEvent:
		s.event(p)
	case p.typ == typeAck:
		s.acknowledged(p)
	case p.typ == typeDisconnect:
		s.close(ReasonClientDisconnect, nil)
	}
}

// violated ends a session whose client breaks the protocol.
func (c *client) violated(err error) { c.sess.CloseWith(ReasonParseError, err) }

// connect joins the client to a namespace.
func (c *client) connect(p *packet) {
	if p.auth == nil {
		p.auth = json.RawMessage("{}")
	}
	h := &Handshake{Handshake: c.sess.Handshake(), Auth: p.auth, Time: time.Now()}
	c.mu.Lock()
	many := len(c.sockets) >= c.server.opts.MaxNamespaces
	c.mu.Unlock()
	n := c.server.namespace(p.nsp, h)
	if many && n != nil {
		n.joining.Add(-1)
		n = nil
	}
	if n == nil {
		_ = c.sess.Send(control(typeConnectError, p.nsp, &Error{Message: "Invalid namespace"}))
		return
	}
	s := newSocket(n, c, h)
	n.join(s)
}

// join runs the middlewares, and connects the socket.
func (n *Namespace) join(s *Socket) {
	use, connection := n.hooks()
	err := error(&Error{Message: "internal error"}) // if the middleware panics
	n.server.contain("middleware of "+n.name, func() {
		for _, f := range use {
			if e := f(s); e != nil {
				err = e
				return
			}
		}
		err = nil
	})
	n.mu.Lock()
	n.joining.Add(-1)
	if err == nil && s.connect() {
		n.sockets[s.id] = s // known to broadcasts after CONNECT has been queued, and not before
		n.mu.Unlock()
		for _, f := range connection {
			n.server.contain("connection to "+n.name, func() { f(s) })
		}
		return
	}
	n.mu.Unlock()
	n.adapter.DelAll(s.id) // a middleware may have joined rooms
	if err != nil {
		_ = s.client.sess.Send(control(typeConnectError, n.name, asError(err)))
	}
	n.server.forget(n)
}
