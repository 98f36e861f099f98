package trace

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Request records one request while it is served. Make it with
// [Recorder.Begin], give its Writer to the handler, then call End.
type Request struct {
	ring  *Ring
	begun time.Time
	e     Entry
	w     *writer
	body  *counter

	mu      sync.Mutex // guards the following: the sid may be learnt late, by another goroutine
	sid     string
	pending []Entry // what was recorded before that
}

func begin(ring *Ring, w http.ResponseWriter, r *http.Request, slot int, sid string) *Request {
	now := time.Now()
	t := &Request{ring: ring, begun: now, sid: sid, e: Entry{
		At: now.UnixMilli(), Method: Known(r.Method, http.MethodGet, http.MethodPost, http.MethodOptions), Slot: slot, Step: "poll",
		Transport: Known(r.URL.Query().Get("transport"), "polling", "websocket"),
	}}
	switch {
	case sid == "":
		t.e.Step = "open"
	case t.e.Transport == "websocket":
		t.e.Step = "upgrade"
	case r.Method == http.MethodPost:
		t.e.Step = "post"
	}
	t.body = &counter{ReadCloser: r.Body}
	r.Body = t.body
	t.w = &writer{ResponseWriter: w, t: t}
	return t
}

// Known returns s if it is one of some words, else "other": the ring shall not
// keep whatever a client makes up.
func Known(s string, words ...string) string {
	for _, w := range words {
		if s == w {
			return w
		}
	}
	return "other"
}

// Writer is what the request must be answered with.
func (t *Request) Writer() http.ResponseWriter { return t.w }

// SetSID tells the sid once it is known: when the open request is answered.
func (t *Request) SetSID(sid string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sid = sid; sid == "" {
		return
	}
	for _, e := range t.pending {
		e.SID = sid
		t.ring.Add(e)
	}
	t.pending = nil
}

// Owner tells the slot that the sid names, via the slot that forwarded.
func (t *Request) Owner(slot int) { t.e.Owner = &slot }
func (t *Request) via(slot int)   { t.e.Via = &slot }

// End records the request, unless it became a WebSocket: that was recorded
// when its handshake was answered, and is again when it closes.
func (t *Request) End() {
	if t.w.hijacked {
		return
	}
	e := t.e
	e.Status, e.Sent, e.Received = max(t.w.status, 0), t.w.n, t.body.n.Load()
	if e.Status == 0 {
		e.Status = http.StatusOK
	}
	if e.Status >= 400 && e.Error == nil {
		why := t.w.reason()
		e.Error = &why
	}
	t.add(e)
}

func (t *Request) add(e Entry) {
	e.MS = float64(time.Since(t.begun).Microseconds()) / 1000
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.SID = t.sid; e.SID == "" {
		t.pending = append(t.pending, e)
		return
	}
	t.ring.Add(e)
}

type counter struct {
	io.ReadCloser
	n atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// writer notes the status and size of an answer, and the beginning of an
// error's body, which says why.
type writer struct {
	http.ResponseWriter
	t        *Request
	status   int
	n        int64
	head     []byte
	hijacked bool
}

func (w *writer) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	if w.status >= 400 && len(w.head) < 200 {
		w.head = append(w.head, b[:min(len(b), 200)]...)
	}
	n, err := w.ResponseWriter.Write(b)
	w.n += int64(n)
	return n, err
}

// reason takes the message out of Engine.IO's {"code":1,"message":"…"}.
func (w *writer) reason() string {
	if _, rest, ok := bytes.Cut(w.head, []byte(`"message":"`)); ok {
		if m, _, ok := bytes.Cut(rest, []byte{'"'}); ok {
			return string(m)
		}
	}
	if text := strings.TrimSpace(string(w.head)); text != "" && !strings.HasPrefix(text, "<") {
		return text
	}
	return http.StatusText(w.status)
}

func (w *writer) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack hands out the connection of a WebSocket's handshake. What is written
// to it first is the answer.
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.hijacked = true
	return &conn{Conn: c, t: w.t}, rw, nil
}

// conn is the connection of a WebSocket, from its handshake's answer on.
type conn struct {
	net.Conn
	t              *Request
	answered       atomic.Bool
	status         int
	sent, received atomic.Int64
	closed         atomic.Bool
}

func (c *conn) Write(b []byte) (int, error) {
	if c.answered.CompareAndSwap(false, true) {
		return c.answer(b)
	}
	n, err := c.Conn.Write(b)
	c.sent.Add(int64(n))
	return n, err
}

// answer writes the handshake's answer, and records it.
func (c *conn) answer(b []byte) (int, error) {
	if f := bytes.Fields(b[:min(len(b), 64)]); len(f) > 1 { // HTTP/1.1 101 …
		c.status, _ = strconv.Atoi(string(f[1]))
	}
	e := c.t.e
	e.Status = c.status
	c.t.add(e)
	return c.Conn.Write(b)
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.received.Add(int64(n))
	return n, err
}

func (c *conn) Close() error {
	if c.closed.CompareAndSwap(false, true) && c.answered.Load() {
		e := c.t.e
		e.Step, e.Status = "close", c.status
		e.At = time.Now().UnixMilli()
		e.Sent, e.Received = c.sent.Load(), c.received.Load()
		c.t.add(e)
	}
	return c.Conn.Close()
}
