package socketio

import (
	"context"
	"slices"
	"sync/atomic"
	"time"
)

// An Event is one that a client sent, for handlers. It may be kept.
type Event struct {
	Name string
	Args

	socket *Socket
	id     uint64
	acked  atomic.Bool
}

// Socket is where the event came from.
func (e *Event) Socket() *Socket { return e.socket }

// Context is done when the socket is disconnected.
func (e *Event) Context() context.Context { return e.socket.Context() }

// WantsAck says whether the client waits for an acknowledgement.
func (e *Event) WantsAck() bool { return e.id != noID }

// Ack acknowledges the event, once; ErrNoAck otherwise. It may be called later,
// from any goroutine.
func (e *Event) Ack(args ...any) error {
	if e.id == noID || !e.acked.CompareAndSwap(false, true) {
		return ErrNoAck
	}
	s := e.socket
	if !s.Connected() {
		return ErrDisconnected
	}
	packets, err := encode(typeAck, s.nsp.name, e.id, nil, args)
	if err != nil {
		return err
	}
	return s.client.sess.Send(packets...)
}

// A Disconnection is why a socket was disconnected.
type Disconnection struct {
	Reason string // one of the Reasons
	Err    error  // may tell more
}

type kind uint8

const (
	kindEvent kind = iota
	kindAny
	kindAnyOutgoing
	kindError
	kindDisconnecting
	kindDisconnect
)

type handler struct {
	kind  kind
	event string
	once  bool
	key   *int // tells handlers apart
	on    func(*Event)
	gone  func(Disconnection)
	out   func(string, []any)
	err   func(error)
}

func (s *Socket) add(h handler) (off func()) {
	h.key = new(int)
	s.mu.Lock()
	s.handlers = append(s.handlers, h)
	s.mu.Unlock()
	return func() { s.drop(func(o handler) bool { return o.key == h.key }) }
}

// drop removes handlers. Those that look at the slice go on with the old one.
func (s *Socket) drop(which func(handler) bool) {
	s.mu.Lock()
	s.handlers = slices.DeleteFunc(slices.Clone(s.handlers), which)
	s.mu.Unlock()
}

// On adds a handler of an event. off removes it.
func (s *Socket) On(event string, f func(*Event)) (off func()) {
	return s.add(handler{event: event, on: f})
}

// Once is On for the next such event.
func (s *Socket) Once(event string, f func(*Event)) (off func()) {
	return s.add(handler{event: event, on: f, once: true})
}

// Off removes all handlers of an event.
func (s *Socket) Off(event string) {
	s.drop(func(h handler) bool { return h.kind == kindEvent && h.event == event })
}

// OnAny adds a handler of all events, which is called before those of On.
func (s *Socket) OnAny(f func(*Event)) (off func()) { return s.add(handler{kind: kindAny, on: f}) }

// OnAnyOutgoing adds a function that is called with each event before it is sent.
func (s *Socket) OnAnyOutgoing(f func(event string, args []any)) (off func()) {
	return s.add(handler{kind: kindAnyOutgoing, out: f})
}

// OnDisconnecting adds a function that is called before the socket leaves its
// rooms, OnDisconnect one that is called after.
func (s *Socket) OnDisconnecting(f func(Disconnection)) (off func()) {
	return s.add(handler{kind: kindDisconnecting, gone: f})
}

// OnDisconnect: see OnDisconnecting.
func (s *Socket) OnDisconnect(f func(Disconnection)) (off func()) {
	return s.add(handler{kind: kindDisconnect, gone: f})
}

// OnError adds a function that is told about events that a middleware of Use
// refused, or that typed handlers could not decode.
func (s *Socket) OnError(f func(error)) (off func()) { return s.add(handler{kind: kindError, err: f}) }

// Use adds a middleware that is called with each event before its handlers, and
// drops it by an error.
func (s *Socket) Use(middleware func(*Event) error) {
	s.mu.Lock()
	s.use = append(s.use, middleware)
	s.mu.Unlock()
}

// snapshot returns what is registered, and removes what an event uses up.
func (s *Socket) snapshot(event string) (hs []handler, use []func(*Event) error, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hs = s.handlers
	for _, h := range hs {
		if h.once && h.event == event {
			s.handlers = slices.DeleteFunc(slices.Clone(hs), func(h handler) bool { return h.once && h.event == event })
			break
		}
	}
	return hs, s.use, s.status == connected
}

// each calls f with the handlers of a kind.
func (s *Socket) each(k kind, f func(handler)) {
	s.mu.Lock()
	hs := s.handlers
	s.mu.Unlock()
	for _, h := range hs {
		if h.kind == k {
			s.nsp.server.contain("handler of "+s.nsp.name, func() { f(h) })
		}
	}
}

// event hands an event to its handlers.
func (s *Socket) event(p *packet) {
	hs, use, ok := s.snapshot(p.event)
	if !ok {
		return // came after the disconnection
	}
	e := &Event{Name: p.event, Args: p.args, socket: s, id: p.id}
	server := s.nsp.server
	for _, f := range use {
		err := error(&Error{Message: "internal error"})
		server.contain("middleware for "+e.Name, func() { err = f(e) })
		if err != nil {
			s.fail(err)
			return
		}
	}
	for i := range hs {
		if hs[i].kind == kindAny {
			s.call(hs[i].on, e)
		}
	}
	for i := range hs {
		if h := &hs[i]; h.kind == kindEvent && h.event == e.Name {
			s.call(h.on, e)
		}
	}
}

// call calls a handler; its panic ends neither the socket nor the program.
func (s *Socket) call(f func(*Event), e *Event) {
	defer func() {
		if p := recover(); p != nil {
			s.panicked(e, p)
		}
	}()
	f(e)
}

func (s *Socket) fail(err error) { s.each(kindError, func(h handler) { h.err(err) }) }

// Emit sends an event. Arguments are encoded as encoding/json does; each []byte
// in them, at any depth, travels as binary. Emit never blocks.
func (s *Socket) Emit(event string, args ...any) error {
	return Emitter{socket: s}.Emit(event, args...)
}

// Send is Emit of the event "message".
func (s *Socket) Send(args ...any) error { return s.Emit("message", args...) }

// EmitWithAck sends an event and waits for the client's acknowledgement, or
// until ctx is done (which may be ErrTimeout's doing, see Timeout).
func (s *Socket) EmitWithAck(ctx context.Context, event string, args ...any) (Args, error) {
	return Emitter{socket: s}.EmitWithAck(ctx, event, args...)
}

// Volatile is for events that the client may miss if it can't take them at once.
func (s *Socket) Volatile() Emitter { return Emitter{socket: s, volatile: true} }

// Timeout bounds the wait for acknowledgements.
func (s *Socket) Timeout(d time.Duration) Emitter { return Emitter{socket: s, timeout: d} }
