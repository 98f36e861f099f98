package socketio

import (
	"context"
	"runtime/debug"
	"slices"
	"time"
)

// An Emitter emits to a socket with modifiers: see Socket.Volatile and Timeout.
type Emitter struct {
	socket   *Socket
	volatile bool
	timeout  time.Duration
}

// Volatile and Timeout add a modifier.
func (e Emitter) Volatile() Emitter               { e.volatile = true; return e }
func (e Emitter) Timeout(d time.Duration) Emitter { e.timeout = d; return e }

// Emit is Socket.Emit.
func (e Emitter) Emit(event string, args ...any) error { return e.send(noID, event, args) }

func (e Emitter) send(id uint64, event string, args []any) error {
	s := e.socket
	if slices.Contains(errReserved, event) {
		return ErrReserved
	}
	s.mu.Lock()
	ok, hs := s.status == connected, s.handlers
	s.mu.Unlock()
	if !ok {
		return ErrDisconnected
	}
	for _, h := range hs {
		if h.kind == kindAnyOutgoing {
			s.nsp.server.contain("OnAnyOutgoing", func() { h.out(event, args) })
		}
	}
	packets, err := encode(typeEvent, s.nsp.name, id, &event, args)
	if err != nil {
		return err
	}
	if e.volatile && !s.client.sess.Writable() {
		return nil
	}
	return s.client.sess.Send(packets...)
}

// An ack waits for a client's acknowledgement: in a goroutine (wait), or as a
// function that is called in order with the client's events.
type ack struct {
	wait  chan answer
	f     func(Args, error)
	timer *time.Timer
	many  bool // of a broadcast: f gets no errors, and is called at once
}

type answer struct {
	args Args
	err  error
}

func (a *ack) fail(err error) {
	if a.timer != nil {
		a.timer.Stop()
	}
	if a.wait != nil {
		a.wait <- answer{err: err}
	} else if !a.many {
		a.f(Args{}, err)
	}
}

// expect registers an ack.
func (s *Socket) expect(id uint64, a *ack) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status != connected {
		return false
	}
	if s.acks == nil {
		s.acks = map[uint64]*ack{}
	}
	s.acks[id] = a
	return true
}

// forgetAck returns the ack of an id, which is expected no longer.
func (s *Socket) forgetAck(id uint64) *ack {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.acks[id]
	delete(s.acks, id)
	return a
}

// answered gives an acknowledgement to the goroutine that waits for it, if one does.
func (s *Socket) answered(p *packet) bool {
	s.mu.Lock()
	a := s.acks[p.id]
	if a == nil || a.wait == nil && !a.many {
		s.mu.Unlock()
		return a == nil // nobody expects it: drop it
	}
	delete(s.acks, p.id)
	s.mu.Unlock()
	if a.many {
		a.f(p.args, nil)
	} else {
		a.wait <- answer{args: p.args}
	}
	return true
}

// acknowledged calls the function that an acknowledgement is for.
func (s *Socket) acknowledged(p *packet) {
	if a := s.forgetAck(p.id); a != nil {
		if a.timer != nil {
			a.timer.Stop()
		}
		s.nsp.server.contain("acknowledgement", func() { a.f(p.args, nil) })
	}
}

// EmitWithAck is Socket.EmitWithAck.
func (e Emitter) EmitWithAck(ctx context.Context, event string, args ...any) (Args, error) {
	s := e.socket
	if e.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, e.timeout, ErrTimeout)
		defer cancel()
	}
	id := s.nsp.ids.Add(1)
	a := &ack{wait: make(chan answer, 1)}
	if !s.expect(id, a) {
		return Args{}, ErrDisconnected
	}
	defer s.forgetAck(id)
	if err := e.send(id, event, args); err != nil {
		return Args{}, err
	}
	s.client.sess.Handoff() // this may be a handler, which keeps the answer from being read
	select {
	case r := <-a.wait:
		return r.args, r.err
	case <-ctx.Done():
		return Args{}, context.Cause(ctx)
	}
}

// EmitFunc sends an event. f is called once: with the acknowledgement, in order
// with the client's events, or with ErrTimeout or ErrDisconnected.
func (e Emitter) EmitFunc(event string, f func(Args, error), args ...any) error {
	s := e.socket
	id := s.nsp.ids.Add(1)
	a := &ack{f: f}
	if e.timeout > 0 {
		a.timer = time.AfterFunc(e.timeout, func() {
			if s.forgetAck(id) != nil {
				s.nsp.server.contain("acknowledgement", func() { f(Args{}, ErrTimeout) })
			}
		})
	}
	if !s.expect(id, a) {
		if a.timer != nil {
			a.timer.Stop()
		}
		return ErrDisconnected
	}
	err := e.send(id, event, args)
	if err != nil && s.forgetAck(id) != nil && a.timer != nil {
		a.timer.Stop()
	}
	return err
}

// panicked logs a handler's panic.
func (s *Socket) panicked(e *Event, p any) {
	s.nsp.server.opts.Logger.Error("socketio: panic in handler", "namespace", s.nsp.name, "event", e.Name,
		"socket", s.id, "panic", p, "stack", string(debug.Stack()))
}
