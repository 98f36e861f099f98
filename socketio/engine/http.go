package engine

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/samedoor/samedoor/socketio/internal/ws"
)

// ServeHTTP serves every request of Engine.IO.
func (e *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := parseQuery(r)
	o := Outcome{Transport: q.transport, SID: q.sid, Step: step(r, q)}
	var tell func(Outcome)
	if e.opts.Trace != nil {
		if tell = e.opts.Trace(r); tell != nil {
			o.Began = time.Now()
			cw := &countingWriter{ResponseWriter: w}
			cb := &countingBody{ReadCloser: r.Body}
			r.Body = cb
			if q.transport != WebSocket {
				w = cw
			}
			defer func() {
				if o.Status != http.StatusSwitchingProtocols {
					o.Status, o.Sent, o.Received = max(cw.status, o.Status), cw.n, cb.n
				}
				o.Took = time.Since(o.Began)
				tell(o)
			}()
		}
	}
	err := e.verify(r, q)
	if err == nil {
		if s := e.lookup(r, q, &err); err == nil {
			err = e.dispatch(w, r, q, s, &o, tell)
		}
	}
	if err == nil {
		return
	}
	o.Err, o.Status = err, err.Status
	if e.opts.ConnectionError != nil {
		e.opts.ConnectionError(err)
	}
	if e.opts.Headers != nil {
		e.opts.Headers(w.Header(), r, q.sid)
	}
	if n := r.ContentLength; n > 0 && n <= int64(e.opts.MaxPayload) {
		// Where the client asks to close the connection, net/http would reset it
		// under an unread body, and the answer may be lost.
		_, _ = io.CopyN(io.Discard, r.Body, n)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(err.Status)
	b, _ := w.Write(err.body())
	o.Sent = int64(b)
}

type query struct{ eio, transport, sid string }

// maxOwn is how many bytes of a query are read here. Of one with very many
// parameters net/url takes none: it says itself which.
const maxOwn = 1 << 10

// parseQuery finds the three parameters without making a map of them all. It
// reads them as [url.URL.Query] does, of each the first: whoever stands in front
// of the server finds the same.
func parseQuery(r *http.Request) (q query) {
	if len(r.URL.RawQuery) > maxOwn {
		all := r.URL.Query()
		return query{all.Get("EIO"), all.Get("transport"), all.Get("sid")}
	}
	var eio, transport, sid bool // have been found
	for raw := r.URL.RawQuery; raw != ""; {
		var pair string
		pair, raw, _ = cut(raw, '&')
		k, v, _ := cut(pair, '=')
		if strings.ContainsAny(k, "%+") {
			var err error
			if k, err = url.QueryUnescape(k); err != nil {
				continue
			}
		}
		var to *string
		var found *bool
		switch k {
		case "EIO":
			to, found = &q.eio, &eio
		case "transport":
			to, found = &q.transport, &transport
		case "sid":
			to, found = &q.sid, &sid
		default:
			continue
		}
		if *found || strings.Contains(pair, ";") {
			continue
		}
		if u, err := url.QueryUnescape(v); err == nil {
			*to, *found = u, true
		}
	}
	return q
}

func cut(s string, sep byte) (before, after string, found bool) {
	for i := range len(s) {
		if s[i] == sep {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

func step(r *http.Request, q query) string {
	switch {
	case q.sid == "":
		return StepOpen
	case q.transport == WebSocket:
		return StepUpgrade
	case r.Method == http.MethodPost:
		return StepPost
	}
	return StepPoll
}

// verify checks what can be checked without the session, in Node's order.
func (e *Server) verify(r *http.Request, q query) *ConnectionError {
	if !slices.Contains(e.opts.Transports, q.transport) {
		return refusal(r, CodeUnknownTransport, "UNKNOWN_TRANSPORT")
	}
	if q.sid != "" {
		return nil
	}
	switch {
	case r.Method != http.MethodGet:
		return refusal(r, CodeBadHandshakeMethod, "BAD_HANDSHAKE_METHOD")
	case q.transport == WebSocket && !ws.Asks(r):
		return refusal(r, CodeBadRequest, "TRANSPORT_HANDSHAKE_ERROR")
	}
	if e.opts.AllowRequest != nil {
		if err := e.opts.AllowRequest(r); err != nil {
			c := refusal(r, CodeForbidden, "FORBIDDEN")
			c.Message, c.Cause = err.Error(), err
			return c
		}
	}
	if q.eio != "4" {
		return refusal(r, CodeUnsupportedVersion, "UNSUPPORTED_PROTOCOL_VERSION")
	}
	return nil
}

// lookup finds the session that a request names.
func (e *Server) lookup(r *http.Request, q query, err **ConnectionError) *Session {
	if q.sid == "" {
		return nil
	}
	s, ok := e.Session(q.sid)
	switch {
	case !ok || s.overdue():
		*err = refusal(r, CodeUnknownSID, "UNKNOWN_SID")
	case q.eio != "4":
		*err = refusal(r, CodeBadRequest, "PROTOCOL_MISMATCH")
	}
	return s
}

func (e *Server) dispatch(w http.ResponseWriter, r *http.Request, q query, s *Session, o *Outcome, tell func(Outcome)) *ConnectionError {
	if s == nil {
		return e.open(w, r, q, o, tell)
	}
	if e.opts.Headers != nil {
		e.opts.Headers(w.Header(), r, q.sid)
	}
	switch {
	case q.transport == WebSocket:
		if e.opts.NoUpgrade || ws.Check(r) != nil {
			return refusal(r, CodeBadRequest, "TRANSPORT_HANDSHAKE_ERROR")
		}
		err := s.upgrade(w, r, closer(tell, o))
		if err == nil {
			o.Status = http.StatusSwitchingProtocols
		}
		return err
	case r.Method == http.MethodGet:
		return s.poll(w, r)
	case r.Method == http.MethodPost:
		return s.post(w, r)
	}
	return refusal(r, CodeBadRequest, "BAD_METHOD")
}

// open begins a session.
func (e *Server) open(w http.ResponseWriter, r *http.Request, q query, o *Outcome, tell func(Outcome)) *ConnectionError {
	if q.transport == WebSocket {
		if err := ws.Check(r); err != nil {
			c := refusal(r, CodeBadRequest, "TRANSPORT_HANDSHAKE_ERROR")
			c.Cause = err
			return c
		}
	}
	now := time.Now()
	s := newSession(e, e.opts.GenerateID(r), q.transport, r, now)
	if !e.add(s) {
		if e.isClosed() {
			return refusal(r, CodeForbidden, "CLOSED")
		}
		return refusal(r, CodeBadRequest, "ID_GENERATION_ERROR")
	}
	o.SID = s.ID()
	if e.opts.InitialHeaders != nil {
		e.opts.InitialHeaders(w.Header(), r, s.ID())
	}
	if e.opts.Headers != nil {
		e.opts.Headers(w.Header(), r, s.ID())
	}
	if q.transport == WebSocket {
		conn, err := ws.Accept(w, r, e.opts.MaxPayload)
		if err != nil {
			e.remove(s)
			c := refusal(r, CodeBadRequest, "TRANSPORT_HANDSHAKE_ERROR")
			c.Cause = err
			return c
		}
		o.Status = http.StatusSwitchingProtocols
		c := &socketConn{Conn: conn, s: s, done: closer(tell, o)}
		s.conn = c
		s.begin(now)
		e.track(func() { c.read(0) })
		return nil
	}
	s.begin(now)
	return s.poll(w, r)
}

// begin sends the open packet and calls the program.
func (s *Session) begin(now time.Time) {
	e := s.server
	s.mu.Lock()
	s.beat(now)
	s.push(e.openPacket(s.state.SID, s.state.Transport))
	s.flush()
	s.contain("accept", func() {
		h := e.accept(s)
		s.mu.Lock() // nothing was received so far, but the session may have been closed
		s.handler = h
		early := s.early
		s.mu.Unlock()
		if early != nil {
			h.Closed(early.reason, early.err)
		}
	})
}

type nothing struct{}

func (nothing) Message([]byte, bool) {}
func (nothing) Closed(string, error) {}

func (e *Server) isClosed() bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.closed
}
