package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// maxBody is how much of an answer is read: handshakes and polls are small.
const maxBody = 256 << 10

var errBudget = errors.New("the allowed number of requests is used up (--requests)")

// A door is one connection to the deployment, opened by its first request and
// kept alive. What was behind it when it was opened is, with many balancers,
// behind it until it is closed.
type door struct {
	e    *exam
	rt   *http.Transport
	from netip.Addr
}

func (e *exam) door(from netip.Addr) *door {
	d := &door{e: e, from: from}
	d.rt = &http.Transport{
		DialContext:           e.dialer(from).DialContext,
		TLSClientConfig:       e.tls(),
		TLSHandshakeTimeout:   e.o.Timeout,
		MaxConnsPerHost:       1,
		DisableCompression:    true,
		ResponseHeaderTimeout: 0, // held polls; each request has a context
		Proxy:                 nil,
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.doors = append(e.doors, d)
	return d
}

func (d *door) shut() { d.rt.CloseIdleConnections() }

func (e *exam) dialer(from netip.Addr) *net.Dialer {
	nd := &net.Dialer{Timeout: e.o.Timeout}
	if from.IsValid() {
		nd.LocalAddr = &net.TCPAddr{IP: from.AsSlice(), Zone: from.Zone()}
	}
	return nd
}

// tls offers HTTP/1.1 alone: it is what WebSockets need.
func (e *exam) tls() *tls.Config {
	return &tls.Config{InsecureSkipVerify: e.o.Insecure, NextProtos: []string{"http/1.1"}}
}

// An Answer is a request and what came back.
type Answer struct {
	Request string // as it may be shown: no cookies, no auth, sids cut short
	Status  int    // 0: no HTTP answer
	Header  http.Header
	Body    string
	Err     error // no answer, or not a whole one
	Took    time.Duration
	At      time.Time
	Reused  bool // the connection had carried a request before
	alien   bool // answered as this server answers a sid that it never gave
}

// engine returns the refusal of an Engine.IO server.
func (a *Answer) engine() (engineError, bool) {
	if a.Status < 400 {
		return engineError{}, false
	}
	return parseError(a.Body)
}

// stranger tells that the request reached a worker without the session.
func (a *Answer) stranger() bool {
	e, ok := a.engine()
	return ok && e.Code == codeUnknownSID || a.alien
}

// page tells that a person's page came back.
func (a *Answer) page() bool {
	b := strings.ToLower(strings.TrimSpace(a.Body[:min(len(a.Body), 512)]))
	return strings.HasPrefix(b, "<!doctype html") || strings.HasPrefix(b, "<html") ||
		(strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") && strings.HasPrefix(b, "<"))
}

func (a *Answer) timeout() bool {
	var ne net.Error
	return errors.As(a.Err, &ne) && ne.Timeout() || errors.Is(a.Err, context.DeadlineExceeded)
}

// String is a line of evidence.
func (a *Answer) String() string {
	var what string
	switch {
	case a.Err != nil && a.Status == 0:
		what = reason(a.Err)
	case a.Status == http.StatusSwitchingProtocols:
		what = "101"
	default:
		what = fmt.Sprint(a.Status)
		if a.Body != "" {
			what += " " + excerpt(a.Body)
		} else if l := a.Header.Get("Location"); l != "" {
			what += " → " + bare(l)
		}
		if a.Err != nil {
			what += " (" + reason(a.Err) + ")"
		}
	}
	return a.Request + " → " + what + ", " + span(a.Took)
}

// reason is an error without the wrapping that tells people nothing.
func reason(err error) string {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	var ne net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ne) && ne.Timeout():
		return "no answer"
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed"
	case strings.Contains(err.Error(), "connection reset"):
		return "the connection was reset"
	case strings.Contains(err.Error(), "connection refused"):
		return "connection refused"
	}
	return excerpt(err.Error())
}

// span is a duration as people say it.
func span(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return "under 1 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%.0f s", d.Seconds())
}

// bare is a URL without what may be private in it.
func bare(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "(an address that is none)"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// A call is a request to be made.
type call struct {
	method string
	query  string // transport=…&sid=…; EIO and the URL's own are added
	body   string
	header http.Header // added to the options' own
	eio    int         // 0: 4
	path   string      // empty: the endpoint
	wait   time.Duration
	held   bool // waits outside --concurrency
	plain  bool // no Engine.IO query at all
}

func (e *exam) url(c call) *url.URL {
	u := *e.base
	if c.path != "" {
		u.Path = c.path
	}
	if c.plain {
		u.RawQuery = ""
		return &u
	}
	eio := c.eio
	if eio == 0 {
		eio = 4
	}
	u.RawQuery = fmt.Sprintf("EIO=%d&%s", eio, c.query)
	if e.query != "" { // a page's token, say
		u.RawQuery += "&" + e.query
	}
	return &u
}

// shown is how a request is printed.
func (e *exam) shown(c call, sid string) string {
	path := c.path
	if path == "" {
		path = e.base.Path
	}
	s := c.method + " " + excerpt(path)
	if q, err := url.ParseQuery(c.query); err == nil && !c.plain {
		s += "?" + q.Get("transport")
		if sid != "" {
			s += "&sid=" + short(sid)
		}
		if c.eio == 3 {
			s += "&EIO=3"
		}
	}
	return s
}

// short names a sid without giving it away: who has it may speak for it.
func short(sid string) string {
	if len(sid) <= 6 {
		return "…"
	}
	return strings.TrimSuffix(excerpt(sid[:4]), "…") + "…"
}

// do makes a request over this door and returns its answer, never nil.
func (d *door) do(ctx context.Context, c call, s *session) *Answer {
	e := d.e
	sid := ""
	if s != nil {
		sid = s.SID
	}
	a := &Answer{Request: e.shown(c, sid), At: time.Now(), Header: http.Header{}}
	release, err := e.take(ctx, c.held)
	if err != nil {
		a.Err = err
		return a
	}
	defer release()
	wait := c.wait
	if wait == 0 {
		wait = e.o.Timeout
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) { a.Reused = i.Reused },
	})
	var body io.Reader
	if c.body != "" {
		body = strings.NewReader(c.body)
	}
	req, err := http.NewRequestWithContext(ctx, c.method, e.url(c).String(), body)
	if err != nil {
		a.Err = err
		return a
	}
	req.Header = e.header(c.header)
	if h := req.Header.Get("Host"); h != "" {
		req.Host = h
	}
	if c.method == http.MethodPost {
		req.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	}
	a.At = time.Now()
	resp, err := d.rt.RoundTrip(req)
	if err != nil {
		a.Err, a.Took = err, time.Since(a.At)
		return a
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	a.Status, a.Header, a.Body, a.Err, a.Took = resp.StatusCode, resp.Header, string(b), err, time.Since(a.At)
	if sid != "" {
		a.alien = e.alien != nil && a.Status == e.alien.Status && strings.ReplaceAll(a.Body, sid, "") == e.alien.Body
		a.Body = strings.ReplaceAll(a.Body, sid, short(sid))
	}
	e.learn(a.Body)
	e.noticed(a, !c.held)
	return a
}

// header is what every request carries, and more.
func (e *exam) header(more http.Header) http.Header {
	h := e.o.Header.Clone()
	if h == nil {
		h = http.Header{}
	}
	if h.Get("User-Agent") == "" {
		h.Set("User-Agent", e.o.Agent)
	}
	for k, vs := range more {
		if k == "Cookie" {
			vs = append(h["Cookie"], vs...)
			vs = []string{strings.Join(vs, "; ")}
		}
		h[k] = vs
	}
	return h
}

// dial asks for a WebSocket: for session s, or with nil for one of its own.
func (e *exam) dial(ctx context.Context, s *session, o wsOptions) (*websocket.Conn, *Answer) {
	c := call{method: "GET", query: "transport=websocket", path: o.path}
	sid := ""
	if s != nil {
		sid = s.SID
		c.query += "&sid=" + url.QueryEscape(sid)
	}
	a := &Answer{Request: strings.Replace(e.shown(c, sid), "GET ", "WS ", 1), At: time.Now(), Header: http.Header{}}
	release, err := e.take(ctx, false)
	if err != nil {
		a.Err = err
		return nil, a
	}
	defer release()
	whole := ctx
	ctx, cancel := context.WithTimeout(ctx, e.o.Timeout)
	defer cancel()
	u := e.url(c)
	u.Scheme = "ws" + strings.TrimPrefix(u.Scheme, "http")
	h := http.Header{}
	if !o.noOrigin {
		h.Set("Origin", e.origin())
	}
	from := o.from
	if s != nil {
		from = s.door.from
		if c := s.cookieHeader(); c != "" {
			h.Set("Cookie", c)
		}
	}
	h = e.header(h)
	for _, k := range []string{"Upgrade", "Connection", "Sec-Websocket-Key", "Sec-Websocket-Version", "Sec-Websocket-Extensions"} {
		h.Del(k) // the dialer refuses to have them twice
	}
	free := func() bool { return true }
	open := func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := e.dialer(from).DialContext(ctx, network, addr)
		if err == nil { // the dialer itself heeds only the time
			free = context.AfterFunc(whole, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
		}
		return c, err
	}
	d := websocket.Dialer{NetDialContext: open, TLSClientConfig: e.tls(), EnableCompression: o.deflate}
	a.At = time.Now()
	conn, resp, err := d.DialContext(ctx, u.String(), h)
	free()
	a.Took = time.Since(a.At)
	if resp != nil {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, maxBody)) // gorilla keeps the first KiB
		a.Status, a.Header, a.Body = resp.StatusCode, resp.Header, string(b)
		e.learn(a.Body)
		e.noticed(a, true)
	}
	if err != nil && !(errors.Is(err, websocket.ErrBadHandshake) && resp != nil && resp.StatusCode != http.StatusSwitchingProtocols) {
		a.Err = err
	}
	if conn != nil {
		conn.SetReadLimit(maxMessage)
	}
	return conn, a
}

type wsOptions struct {
	from     netip.Addr
	path     string
	noOrigin bool
	deflate  bool
}

// hang ends a WebSocket with a close frame.
func hang(c *websocket.Conn) {
	if c == nil {
		return
	}
	_ = c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
	_ = c.SetReadDeadline(time.Now().Add(300 * time.Millisecond)) // for the other side's
	for range 100 {
		if _, err := message(c); err != nil {
			break
		}
	}
	c.Close()
}

// read waits for the next text message, but not past a time or the context.
func (e *exam) read(ctx context.Context, c *websocket.Conn, wait time.Duration) (string, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	_ = c.SetReadDeadline(time.Now().Add(wait))
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	b, err := message(c)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	e.learn(string(b))
	return string(b), err
}

// maxMessage is how much of a WebSocket message is read, unpacked.
const maxMessage = 4 << 20

func message(c *websocket.Conn) ([]byte, error) {
	_, r, err := c.NextReader()
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(r, maxMessage+1))
	if len(b) > maxMessage {
		return nil, errors.New("a message of more than 4 MB")
	}
	return b, err
}

func write(c *websocket.Conn, s string) error {
	_ = c.SetWriteDeadline(time.Now().Add(5 * time.Second))
	return c.WriteMessage(websocket.TextMessage, []byte(s))
}
