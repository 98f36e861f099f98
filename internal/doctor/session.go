package doctor

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// A session is one of the server's, opened by polling through a door.
type session struct {
	Hello
	e       *exam
	door    *door
	cookies []string    // name=value, as the handshake set them
	spoiled atomic.Bool // something else than a stranger may have ended it
	born    time.Time   // when it was asked for, before the server opened it
}

// old tells that the server may have ended the session by itself when it gave
// an answer: no ping of it is answered, and Node's socket.io gives up after 45
// seconds those that join no namespace. A stranger proves nothing then.
func (s *session) old(a *Answer) bool {
	limit := 40 * time.Second
	if d := s.PingInterval + s.PingTimeout; d > 0 {
		limit = min(limit, d)
	}
	return a.At.Add(a.Took).Sub(s.born) >= limit
}

// open begins a session through a door; nil unless the answer is a handshake.
func (e *exam) open(ctx context.Context, d *door, header http.Header) (*session, *Answer) {
	a := d.do(ctx, call{method: "GET", query: "transport=polling", header: header}, nil)
	if a.Status != http.StatusOK || a.Err != nil {
		return nil, a
	}
	h, eio, err := parseOpen(a.Body)
	if err != nil || eio != 4 {
		return nil, a
	}
	return e.adopt(d, a, h), a
}

// adopt makes a session of a handshake.
func (e *exam) adopt(d *door, a *Answer, h Hello) *session {
	a.Body = strings.ReplaceAll(a.Body, h.SID, short(h.SID))
	s := &session{Hello: h, e: e, door: d, born: a.At}
	for _, c := range (&http.Response{Header: a.Header}).Cookies() {
		if c.MaxAge >= 0 && c.Value != "" {
			s.cookies = append(s.cookies, c.Name+"="+c.Value)
		}
	}
	e.learn(`"sid":"` + h.SID) // whatever it was written like
	e.mu.Lock()
	defer e.mu.Unlock()
	e.live = append(e.live, s)
	return s
}

// noSession tells of a handshake that fails though others went well.
func noSession(f *Finding, a *Answer) {
	if a.Err == errBudget {
		f.skip("%v", errBudget)
		return
	}
	f.saw(a)
	f.warn("a handshake fails, though others went well")
	f.because("", "One of the workers, or one of the proxy's upstreams, does not answer as the others do; or a limit is reached.")
	f.advise("Look at the log of the worker that answered this way.")
}

func (s *session) cookieHeader() string { return strings.Join(s.cookies, "; ") }

// to says where a follow-up request goes, and with what.
type to struct {
	door      *door // nil: a fresh connection
	from      netip.Addr
	noCookies bool
	origin    bool
}

// fresh is a connection of its own, with cookies kept, as browsers do it.
var fresh = to{}

func (s *session) send(ctx context.Context, method, body string, t to, c call) *Answer {
	d := t.door
	if d == nil {
		from := t.from
		if !from.IsValid() {
			from = s.door.from
		}
		d = s.e.door(from)
		defer d.shut()
	}
	c.method, c.body, c.query = method, body, "transport=polling&sid="+url.QueryEscape(s.SID)
	c.header = http.Header{}
	if v := s.cookieHeader(); v != "" && !t.noCookies {
		c.header.Set("Cookie", v)
	}
	if t.origin {
		c.header.Set("Origin", s.e.origin())
	}
	return d.do(ctx, c, s)
}

// pong is a packet that every server takes and none answers.
const pong = "3"

// knock sends a packet that changes nothing: does this way lead to the owner?
func (s *session) knock(ctx context.Context, t to) *Answer {
	return s.send(ctx, http.MethodPost, pong, t, call{})
}

// taken tells that a POST arrived at the session.
func taken(a *Answer) bool { return a.Err == nil && a.Status == http.StatusOK && !a.page() }

// reach repeats a request that met strangers, so that what lies behind a
// balancer that is not sticky can be examined all the same. It is for
// requests whose refusal has no effect.
func (s *session) reach(ctx context.Context, try func() *Answer) *Answer {
	a := try()
	for i := 1; i < s.e.tries() && a.stranger(); i++ {
		a = try()
	}
	if !s.spoiled.Load() {
		s.e.followed(s, a)
	}
	if a.Err != nil || a.Status >= 400 {
		s.spoiled.Store(true)
	}
	return a
}

// close ends the session with a close packet, once.
func (s *session) close(ctx context.Context, t to) *Answer {
	a := s.reach(ctx, func() *Answer { return s.send(ctx, http.MethodPost, "1", t, call{}) })
	if !a.stranger() {
		s.e.closed(s)
	}
	return a
}
