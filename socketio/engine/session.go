package engine

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/samedoor/samedoor/socketio/internal/wheel"
)

// A Handler gets what comes from one session, in the order it came. Both
// methods may be called on any goroutine; while Message runs, nothing more is
// read from this client, unless Session.Handoff is called.
type Handler interface {
	// Message is called with the data of each message, which the Handler may keep.
	Message(data []byte, binary bool)
	// Closed is called once. Reason is one of the Reasons; err may tell more.
	Closed(reason string, err error)
}

// A Session is one Engine.IO session.
type Session struct {
	server  *Server
	handler Handler
	timer   wheel.Timer

	mu    sync.Mutex
	state State

	// Polling: the poll that waits for packets, whether one is being answered,
	// whether a POST is being read.
	waiter  chan struct{}
	polling bool
	posting bool
	dropped bool      // closed by the server: what the client still POSTs is taken, and not heard
	until   time.Time // when a closed session is forgotten
	told    bool      // of the close, by a poll; guarded by the server's mu

	// WebSocket: the connection, the one that probes for an upgrade, and
	// whether somebody writes what is in the queue.
	conn      *socketConn
	probe     *socketConn
	probed    bool // by then, polls are not kept waiting
	noops     int  // that they were answered with
	writing   bool
	spare     []Packet // the queue's other half
	closeCode int      // a close frame follows the queue
	closing   int      // closeCode of a Closing session, if its upgrade completes

	early *ending // how it ended, if that was before it had its handler
}

// An ending is what a Handler is told of it.
type ending struct {
	reason string
	err    error
}

// ID is the session's id, sid on the wire.
func (s *Session) ID() string { return s.state.SID }

// Handshake is the request that began the session.
func (s *Session) Handshake() *Handshake { return &s.state.Handshake }

// Transport is the one in use: Polling or WebSocket.
func (s *Session) Transport() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.Transport
}

// Handler is what was returned when the session was accepted.
func (s *Session) Handler() Handler {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.handler
}

// Snapshot copies the session's state. Once read into another process, it is all
// that is needed to go on there with the connection.
func (s *Session) Snapshot() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.state
	st.Queue = slices.DeleteFunc(slices.Clone(st.Queue), func(p Packet) bool { return p.head == 0 }) // a WebSocket's own pong
	return st
}

// Writable says whether a packet would leave at once: what Socket.IO's volatile
// packets ask.
func (s *Session) Writable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.Status == Open && len(s.state.Queue) == 0 &&
		(s.waiter != nil || s.conn != nil && !s.writing)
}

// Send queues packets, next to each other, and never blocks: what the client
// does not take at once is written later. The error is ErrClosed or ErrOverflow.
func (s *Session) Send(packets ...Packet) error {
	s.mu.Lock()
	if s.state.Status != Open {
		s.mu.Unlock()
		return ErrClosed
	}
	s.push(packets...)
	if s.state.Queued > s.server.opts.MaxQueue {
		s.state.Queue, s.state.Queued = nil, 0 // it will never be read, and may be large
		s.mu.Unlock()
		go s.end(ReasonOverflow, ErrOverflow, true) // the caller may be anyone
		return ErrOverflow
	}
	s.flush()
	return nil
}

func (s *Session) push(packets ...Packet) {
	s.state.Queue = append(s.state.Queue, packets...)
	for _, p := range packets {
		s.state.Queued += len(p.frame)
	}
}

// flush brings the queue on its way, and unlocks mu.
func (s *Session) flush() {
	switch {
	case s.conn != nil && !s.polling:
		s.write()
		return
	case s.waiter != nil && len(s.state.Queue) > 0:
		s.release()
	}
	s.mu.Unlock()
}

// release wakes the poll that waits.
func (s *Session) release() {
	if s.waiter != nil {
		close(s.waiter)
		s.waiter = nil
	}
}

// take empties the queue.
func (s *Session) take() []Packet {
	q := s.state.Queue
	s.state.Queue, s.spare = s.spare[:0], nil
	s.state.Queued = 0
	return q
}

// give returns what take returned, to be used again.
func (s *Session) give(q []Packet) {
	if cap(q) <= 16 {
		clear(q)
		s.spare = q[:0]
	}
}

// Close sends what is queued, then closes the session. Nothing is sent or
// received after that.
func (s *Session) Close() { s.end(ReasonForcedClose, nil, true) }

// CloseWith is Close with one of the Reasons.
func (s *Session) CloseWith(reason string, err error) { s.end(reason, err, true) }

// end ends the session once. If flush is set, the client is told.
func (s *Session) end(reason string, err error, flush bool) {
	s.mu.Lock()
	if s.state.Status != Open {
		s.mu.Unlock()
		return
	}
	s.state.Status = Closed
	handler := s.handler
	if handler == (nothing{}) {
		s.early = &ending{reason, err}
	}
	switch {
	case s.conn != nil:
		conn := s.conn
		if flush {
			s.closeCode = closeCode(reason, err)
			conn.abandon() // what the client still says is not heard
			conn.handoff() // not even by a handler that takes long
			s.write()
		} else {
			s.mu.Unlock()
			conn.Close()
		}
		s.forget()
	default:
		linger := lingers(reason)
		if flush {
			s.push(closePacket)
		} else {
			s.push(noopPacket)
		}
		if linger == 0 {
			s.release()
			s.mu.Unlock()
			s.forget()
			break
		}
		// Until the next poll, or the end of an upgrade: a client that has paused
		// polling for one must find its WebSocket alive to hear of the close.
		s.state.Status, s.closing = Closing, closeCode(reason, err)
		s.dropped = reason != ReasonTransportClose
		s.until = time.Now().Add(linger)
		s.server.wheel.Schedule(&s.timer, s.until)
		s.release()
		s.mu.Unlock()
	}
	s.contain("Closed", func() { handler.Closed(reason, err) })
}

// Nudge answers the poll that waits, if any, with nothing: the client polls
// again, perhaps by another way.
func (s *Session) Nudge() {
	s.mu.Lock()
	if s.state.Status == Open && s.waiter != nil && len(s.state.Queue) == 0 {
		s.push(noopPacket)
		s.release()
	}
	s.mu.Unlock()
}

// late is how long a session is remembered after its client was told that it is
// closed: a POST may have been on its way.
const late = 2 * time.Second

// over is forget for a client that was told so by a poll.
func (s *Session) over() {
	s.mu.Lock()
	dropped, until := s.dropped, time.Now().Add(late)
	s.until = until
	s.mu.Unlock()
	if dropped && s.server.tell(s) {
		s.server.wheel.Schedule(&s.timer, until)
		s.endProbe()
		return
	}
	s.forget()
}

// forget takes a closed session off the server, with a WebSocket that probes.
func (s *Session) forget() {
	s.server.remove(s)
	s.endProbe()
}

func (s *Session) endProbe() {
	s.mu.Lock()
	probe := s.probe
	s.probe, s.probed = nil, false
	s.mu.Unlock()
	if probe != nil {
		probe.Close()
	}
}

// lingers is how long a closed session waits for the poll that tells the client.
// Clients that broke the protocol find it unknown instead.
func lingers(reason string) time.Duration {
	switch reason {
	case ReasonTransportClose: // the client's last poll may be slower than its close packet
		return 500 * time.Millisecond
	case ReasonPingTimeout, ReasonTransportError, ReasonParseError, ReasonOverflow:
		return 0
	case ReasonShutdown: // whoever shuts down knows how long it may take
		return 5 * time.Second
	}
	return 30 * time.Second
}

// receive takes a packet from the client. It says whether to go on.
func (s *Session) receive(p received) bool {
	s.mu.Lock()
	if s.state.Status != Open {
		s.mu.Unlock()
		return false
	}
	if s.state.Waiting {
		s.pong(p.typ == typePong)
	}
	handler := s.handler
	s.mu.Unlock()
	switch p.typ {
	case typeMessage:
		s.contain("Message", func() { handler.Message(p.data, p.binary) })
	case typePong, typeNoop, typeUpgrade, typeOpen:
	case typeClose:
		s.end(ReasonTransportClose, nil, false)
		return false
	default: // a ping is the server's to send
		s.end(ReasonTransportError, errPacket, true)
		return false
	}
	return true
}

// contain keeps a panic of the program's handler to this call.
func (s *Session) contain(what string, f func()) {
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				return
			}
			s.server.opts.Logger.Error("engine: panic in "+what, "sid", s.ID(), "panic", p, "stack", stack())
		}
	}()
	f()
}
