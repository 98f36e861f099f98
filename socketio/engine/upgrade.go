package engine

import (
	"net/http"
	"time"

	"github.com/samedoor/samedoor/socketio/internal/ws"
)

// An upgrade, from the server's side:
//
//	client            server
//	WebSocket      →  101
//	2probe         →  3probe, and the poll that waits is answered with a noop
//	                  (as is every poll that still comes)
//	5              →  from here on the queue leaves through the WebSocket
//
// The client sends 5 when its polls and POSTs are answered, so whatever polling
// brought either way is there. Until then the queue belongs to polling: a
// packet is taken from it by one of the two, under mu, and by nobody else.

// upgrade serves the WebSocket of a session that began with polling.
func (s *Session) upgrade(w http.ResponseWriter, r *http.Request, done func(*socketConn)) *ConnectionError {
	conn, err := ws.Accept(w, r, s.server.opts.MaxPayload)
	if err != nil {
		e := refusal(r, CodeBadRequest, "TRANSPORT_HANDSHAKE_ERROR")
		e.Cause = err
		return e
	}
	c := &socketConn{Conn: conn, s: s, done: done}
	s.mu.Lock()
	if s.state.Status != Open || s.state.Transport != Polling || s.probe != nil {
		s.mu.Unlock()
		go func() { // as Node does: the session goes on
			_ = conn.NetConn().SetDeadline(time.Now().Add(closeGrace))
			_, _ = conn.Write(ws.CloseFrame(ws.CodeNormal, ""))
			for op := byte(0); err == nil && op != ws.Close; {
				op, _, err = conn.Next()
			}
			c.Close()
		}()
		return nil
	}
	s.probe = c
	s.mu.Unlock()
	s.server.track(func() {
		if !s.prove(c) {
			s.mu.Lock()
			if s.probe == c {
				s.probe, s.probed = nil, false
			}
			s.mu.Unlock()
			c.Close()
			return
		}
		c.read(0)
	})
	return nil
}

// prove goes through the probe, and makes the WebSocket the session's transport.
func (s *Session) prove(c *socketConn) bool {
	_ = c.SetReadDeadline(time.Now().Add(s.server.opts.UpgradeTimeout))
	if !c.expect("2probe") {
		return false
	}
	if _, err := c.Write(probeAnswer.frame); err != nil {
		return false
	}
	s.mu.Lock()
	s.probed, s.noops = true, 0
	s.release()
	s.mu.Unlock()
	if !c.expect("5") {
		return false
	}
	s.mu.Lock()
	if s.state.Status == Closed {
		s.mu.Unlock()
		return false
	}
	_ = c.SetReadDeadline(time.Time{})
	s.probe, s.probed = nil, false
	s.state.Transport, s.conn = WebSocket, c
	if s.state.Status == Closing { // closed in the midst of it
		s.state.Status = Closed
		if n := len(s.state.Queue); n > 0 {
			s.state.Queue = s.state.Queue[:n-1] // the close packet is for polling
		}
		s.closeCode = s.closing
		c.abandon()
		s.flush()
		s.forget()
		return true
	}
	s.release() // of a client that did not wait for its poll
	s.flush()
	return true
}

// expect reads one packet, which must be this one.
func (c *socketConn) expect(packet string) bool {
	for {
		op, p, err := c.Next()
		switch {
		case err != nil:
			return false
		case op == ws.Ping:
			if _, err := c.Write(ws.AppendFrame(nil, ws.Pong, p)); err != nil {
				return false
			}
		case op == ws.Pong:
		default:
			return op == ws.Text && string(p) == packet
		}
	}
}
