package engine

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"
)

// poll answers a GET: with what is queued, or as soon as something is.
func (s *Session) poll(w http.ResponseWriter, r *http.Request) *ConnectionError {
	s.mu.Lock()
	switch {
	case s.state.Status == Closed:
		s.mu.Unlock()
		return refusal(r, CodeUnknownSID, "")
	case s.state.Transport != Polling:
		s.mu.Unlock()
		return refusal(r, CodeBadRequest, "TRANSPORT_MISMATCH")
	case s.waiter != nil || s.polling:
		s.mu.Unlock()
		s.end(ReasonTransportError, errOverlap, true)
		return refusal(r, CodeBadRequest, "OVERLAP")
	}
	s.polling = true
	if len(s.state.Queue) == 0 && !s.wait(w, r) {
		s.polling = false
		s.mu.Unlock()
		s.end(ReasonTransportError, r.Context().Err(), false)
		return nil // nobody is there to read an answer
	}
	if len(s.state.Queue) == 0 {
		s.push(noopPacket)
	}
	q := s.take()
	b := appendPayload(make([]byte, 0, payloadLen(q)), q)
	s.give(q)
	last := s.state.Status == Closing
	if last {
		s.state.Status = Closed
	}
	s.mu.Unlock()
	if last {
		s.over()
	}
	answer(w, "text/plain; charset=UTF-8", b)

	// Only now may a WebSocket that took over meanwhile write: what it writes
	// comes after what this poll brings.
	s.mu.Lock()
	s.polling = false
	s.flush()
	return nil
}

// wait waits, with mu locked before and after, for something to send. It says
// false when the client has gone.
func (s *Session) wait(w http.ResponseWriter, r *http.Request) bool {
	hold := time.Duration(0) // without limit: the ping ends it
	if s.probed {
		// The client should find this poll answered, so that it can end the
		// upgrade. If it polls on and on, its WebSocket hangs: take it slowly.
		if s.noops++; s.noops <= 3 {
			return true
		}
		hold = 100 * time.Millisecond
	}
	ch := make(chan struct{})
	s.waiter = ch
	s.mu.Unlock()
	rc := http.NewResponseController(w)
	// A server's timeouts are for requests that are answered at once.
	_ = rc.SetReadDeadline(time.Time{})
	_ = rc.SetWriteDeadline(time.Now().Add(2 * (s.server.opts.PingInterval + s.server.opts.PingTimeout)))
	var timeout <-chan time.Time
	if hold > 0 {
		timeout = time.After(hold)
	}
	gone := false
	select {
	case <-ch:
	case <-timeout:
	case <-r.Context().Done():
		gone = true
	}
	s.mu.Lock()
	if s.waiter == ch {
		s.waiter = nil
	} else {
		gone = false // released at the same moment: let the write find out
	}
	return !gone
}

var errOverlap = errors.New("concurrent requests of one session")

// post takes the packets of a POST.
func (s *Session) post(w http.ResponseWriter, r *http.Request) *ConnectionError {
	s.mu.Lock()
	switch {
	case s.state.Status != Open && s.dropped: // the client cannot know yet
		s.mu.Unlock()
		_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, int64(s.server.opts.MaxPayload)))
		answer(w, "text/html", okBody)
		return nil
	case s.state.Status != Open:
		s.mu.Unlock()
		return refusal(r, CodeUnknownSID, "")
	case s.state.Transport != Polling:
		s.mu.Unlock()
		return refusal(r, CodeBadRequest, "TRANSPORT_MISMATCH")
	case s.posting:
		s.mu.Unlock()
		s.end(ReasonTransportError, errOverlap, true)
		return refusal(r, CodeBadRequest, "OVERLAP")
	}
	s.posting = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.posting = false
		s.mu.Unlock()
	}()

	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "application/octet-stream" {
		e := refusal(r, CodeBadRequest, "INVALID_CONTENT") // Engine.IO 3's binary payloads
		s.end(ReasonTransportError, e, true)
		return e
	}
	// Who sends slowly must be alive at least.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.server.opts.PingInterval + s.server.opts.PingTimeout))
	body, err := readBody(w, r, s.server.opts.MaxPayload)
	if err != nil {
		e := refusal(r, CodeBadRequest, "BODY")
		e.Cause = err
		if errors.Is(err, errTooLarge) {
			e.Status, e.Context = http.StatusRequestEntityTooLarge, "PAYLOAD_TOO_LARGE"
			e.Message = "Payload too large"
			return e // the session goes on, as with Node
		}
		s.end(ReasonTransportError, err, true)
		return e
	}
	if err := eachPacket(body, s.receive); err != nil {
		s.end(ReasonParseError, err, true)
		e := refusal(r, CodeBadRequest, "PARSE_ERROR")
		return e
	}
	answer(w, "text/html", okBody)
	return nil
}

var okBody = []byte("ok")

var errTooLarge = errors.New("request body too large")

// readBody reads at most limit bytes, and believes no Content-Length beyond 64 KiB.
func readBody(w http.ResponseWriter, r *http.Request, limit int) ([]byte, error) {
	if r.ContentLength > int64(limit) {
		return nil, errTooLarge
	}
	var b bytes.Buffer
	b.Grow(int(min(max(r.ContentLength, 0), 64<<10)) + bytes.MinRead)
	if _, err := b.ReadFrom(io.LimitReader(r.Body, int64(limit)+1)); err != nil {
		return nil, err
	}
	if b.Len() > limit {
		w.Header().Set("Connection", "close") // rather than read the rest
		return nil, errTooLarge
	}
	return b.Bytes(), nil
}

func answer(w http.ResponseWriter, kind string, body []byte) {
	h := w.Header()
	h["Content-Type"] = []string{kind} // text/html avoids a download dialog of old browsers
	h["Cache-Control"] = []string{"no-store"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body)
}
