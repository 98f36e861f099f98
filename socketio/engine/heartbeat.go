package engine

import "time"

// The heartbeat runs on the server's wheel: a session costs no goroutine and no
// timer of its own. What is due is reckoned from when it should have happened,
// so that late ticks don't add up.

// beat begins the heartbeat.
func (s *Session) beat(now time.Time) {
	s.state.PingDue = now.Add(s.server.opts.PingInterval)
	s.timer.Fire = s.tick
	s.server.wheel.Schedule(&s.timer, s.state.PingDue)
}

// tick does what is due. It runs on the wheel's goroutine.
func (s *Session) tick(now time.Time) {
	s.mu.Lock()
	st := &s.state
	var next time.Time
	switch {
	case st.Status != Open && now.Before(s.until): // a ping had been due
		next = s.until
	case st.Status != Open: // long enough
		st.Status = Closed
		s.mu.Unlock()
		s.forget()
		return
	case st.Waiting && !now.Before(st.PongDue):
		s.mu.Unlock()
		go s.end(ReasonPingTimeout, nil, true) // disconnect handlers may take their time
		return
	case st.Waiting:
		next = st.PongDue
	case now.Before(st.PingDue):
		next = st.PingDue
	default:
		st.Waiting, st.Extended = true, false
		st.PongDue = st.PingDue.Add(s.server.opts.PingTimeout)
		next = st.PongDue
		s.push(pingPacket)
		s.server.wheel.Schedule(&s.timer, next)
		conn := s.conn
		s.flush()
		if conn != nil {
			conn.handoff() // a handler that takes long must not keep the pong from being read
		}
		return
	}
	s.server.wheel.Schedule(&s.timer, next)
	s.mu.Unlock()
}

// pong notes that the client lives.
func (s *Session) pong(pong bool) {
	st := &s.state
	now := time.Now()
	switch {
	case pong:
		st.Waiting = false
		st.PingDue = now.Add(s.server.opts.PingInterval)
		if st.PingDue.Before(st.PongDue) { // else the wheel looks in time
			s.server.wheel.Schedule(&s.timer, st.PingDue)
		}
	case !st.Extended:
		st.Extended = true
		st.PongDue = now.Add(s.server.opts.PingTimeout)
	}
}

// overdue is tick for a request that came before the wheel did.
func (s *Session) overdue() bool {
	now := time.Now()
	s.mu.Lock()
	late := s.state.Status == Open && s.state.Waiting && !now.Before(s.state.PongDue)
	s.mu.Unlock()
	if late {
		s.end(ReasonPingTimeout, nil, true)
	}
	return late
}
