package engine

import (
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/samedoor/samedoor/socketio/internal/ws"
)

// A socketConn is a WebSocket of a session, and who reads from it.
type socketConn struct {
	*ws.Conn
	s *Session

	// turn counts the goroutines that have read from the connection; its lowest
	// bit says that the present one is in the Handler.
	turn      atomic.Uint64
	abandoned atomic.Bool
	closed    atomic.Bool
	done      func(*socketConn) // tells the trace
}

// closeGrace is how long a client may take to answer a close frame. Closing
// before it did would reset the connection, and lose what is on its way.
const closeGrace = 5 * time.Second

// read reads until the connection ends or somebody else has taken over.
func (c *socketConn) read(turn uint64) {
	for {
		op, p, err := c.Next()
		if err != nil {
			c.gone(err)
			return
		}
		if c.abandoned.Load() {
			if op == ws.Close {
				c.Close()
				return
			}
			continue
		}
		switch op {
		case ws.Ping:
			c.s.pongFrame(p)
		case ws.Pong:
		case ws.Close:
			c.s.answerClose(c, p)
			c.s.end(ReasonTransportClose, nil, false)
			return
		default:
			rec := received{typ: typeMessage, data: p, binary: op == ws.Binary}
			if !rec.binary {
				if rec, err = parsePacket(p); err != nil {
					c.s.end(ReasonParseError, err, true)
					continue
				}
			}
			c.turn.Store(turn | 1)
			c.s.receive(rec)
			if !c.turn.CompareAndSwap(turn|1, turn) {
				return
			}
		}
	}
}

// handoff lets another goroutine read if the one that does is in the Handler.
func (c *socketConn) handoff() {
	if turn := c.turn.Load(); turn&1 == 1 && c.turn.CompareAndSwap(turn, turn+1) {
		go c.read(turn + 1)
	}
}

// Handoff tells that the present call of Message will wait for something that
// comes from the client, or take long: meanwhile another goroutine goes on
// reading, and calls Message concurrently. Polling needs no such thing as long
// as Message does not wait there.
func (s *Session) Handoff() {
	s.mu.Lock()
	conn := s.conn
	s.mu.Unlock()
	if conn != nil {
		conn.handoff()
	}
}

// gone ends what the connection's end ends.
func (c *socketConn) gone(err error) {
	if c.abandoned.Load() || c.closed.Load() {
		c.Close()
		return
	}
	reason := ReasonTransportError
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		reason, err = ReasonTransportClose, nil
	}
	if ws.Violated(err) != 0 {
		c.s.end(reason, err, true)
		// What comes next makes no sense, but is read so that the close frame arrives.
		_, _ = io.Copy(io.Discard, io.LimitReader(c.NetConn(), 16<<20))
	} else {
		c.s.end(reason, err, false)
	}
	c.Close()
}

// abandon makes the reader wait for the client's close frame alone.
func (c *socketConn) abandon() {
	c.abandoned.Store(true)
	_ = c.NetConn().SetDeadline(time.Now().Add(closeGrace))
}

// Close closes the connection. It may be called more than once.
func (c *socketConn) Close() {
	if c.closed.CompareAndSwap(false, true) {
		_ = c.Conn.Close()
		c.done(c)
	}
}

// closeCode is the WebSocket's word for a reason.
func closeCode(reason string, err error) int {
	if code := ws.Violated(err); code != 0 {
		return code
	}
	switch reason {
	case ReasonShutdown:
		return ws.CodeGoingAway
	case ReasonOverflow:
		return ws.CodePolicy
	case ReasonParseError, ReasonTransportError:
		return ws.CodeProtocol
	}
	return ws.CodeNormal
}

// pongFrame answers a WebSocket's ping (not Engine.IO's), in the queue's order.
func (s *Session) pongFrame(p []byte) {
	s.mu.Lock()
	if s.state.Status != Open || s.conn == nil || s.state.Queued > s.server.opts.MaxQueue {
		s.mu.Unlock()
		return
	}
	s.push(Packet{frame: ws.AppendFrame(nil, ws.Pong, p)})
	s.flush()
}

// answerClose echoes the client's close frame unless something is being written.
func (s *Session) answerClose(c *socketConn, p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == c && !s.writing {
		_, _, _ = c.TryWrite(ws.AppendFrame(nil, ws.Close, p[:min(2, len(p))]))
	}
}

// write writes the queue, and unlocks mu. Whoever finds nobody writing does it,
// for all who come meanwhile: their packets leave together. It never waits for
// the client: when the kernel takes no more, a goroutine does that.
func (s *Session) write() {
	if s.writing {
		s.mu.Unlock()
		return
	}
	s.writing = true
	conn := s.conn
	for len(s.state.Queue) > 0 || s.closeCode > 0 {
		b, q := s.gather()
		s.mu.Unlock()
		n, ok, err := conn.TryWrite(b.bytes)
		switch {
		case err != nil:
			b.free()
			s.failed(conn, err)
			return
		case !ok || n < len(b.bytes):
			go s.writeRest(conn, b, n)
			return
		}
		b.free()
		s.mu.Lock()
		s.give(q)
	}
	s.writing = false
	s.mu.Unlock()
}

// writeRest goes on where write could not without waiting.
func (s *Session) writeRest(conn *socketConn, b batch, n int) {
	for {
		_, err := conn.Write(b.bytes[n:])
		b.free()
		if err != nil {
			s.failed(conn, err)
			return
		}
		s.mu.Lock()
		if len(s.state.Queue) == 0 && s.closeCode <= 0 {
			s.writing = false
			s.mu.Unlock()
			return
		}
		b, _ = s.gather()
		n = 0
		s.mu.Unlock()
	}
}

// failed ends the session, without holding up whoever wrote.
func (s *Session) failed(conn *socketConn, err error) {
	go func() {
		s.end(ReasonTransportError, err, false)
		conn.Close()
	}()
}
