package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// An exam is one examination: what it was asked, what it counted, and what
// the checks tell one another.
type exam struct {
	o     Options
	base  *url.URL // of the endpoint, http or https, without query
	query string   // the URL's own
	page  *url.URL // what was asked for
	slots chan struct{}

	// Written by the checks in First, read by those in Then.
	hello       Hello
	eio         int
	stop        string // why the checks that follow are skipped
	nothing     bool   // nothing to connect to
	affinity    string
	workers     *Estimate
	sticky      bool
	first       *session // opened by reachable
	alien       *Answer  // to a sid that the server never gave, without that sid; nil: tells nothing
	firstAnswer *Answer

	mu      sync.Mutex
	secrets *secrets
	made    int
	spent   bool // a request was not made for want of budget
	proxy   Proxy
	live    []*session
	trips   []trip
	doors   []*door   // all, to be shut in the end
	strays  []*Answer // follow-ups that met strangers after sticky was done
	follows int
	cuts    []cut
}

// A trip is an answer's time, and the clock it told.
type trip struct {
	took time.Duration
	skew time.Duration
	date bool
}

func newExam(o Options) (*exam, error) {
	base, page, query, err := parseTarget(o.URL, o.Path)
	if err != nil {
		return nil, err
	}
	if o.Proxy != "" && !slices.Contains(Proxies(), o.Proxy) {
		return nil, fmt.Errorf("unknown proxy %q: choose %s", o.Proxy, strings.Join(Proxies(), ", "))
	}
	if o.Origin != "" {
		u, err := url.Parse(o.Origin)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || strings.Trim(u.Path, "/") != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return nil, errors.New("--origin is not an origin: write it like https://chat.example:8443")
		}
	}
	return &exam{o: o, base: base, page: page, query: query, secrets: newSecrets(o), slots: make(chan struct{}, o.Concurrency)}, nil
}

// own are the parameters that are the protocol's.
var own = []string{"EIO", "transport", "sid", "t", "b64"}

// parseTarget finds the endpoint for what people paste: a host, an origin, a
// page's address, or the endpoint itself. A page's path is not the endpoint's.
func parseTarget(raw, path string) (base, page *url.URL, query string, err error) {
	raw = strings.TrimSpace(raw)
	if raw == "" {
		return nil, nil, "", errors.New("an empty address: give one like https://chat.example")
	}
	if !strings.Contains(raw, "://") {
		raw = "http://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, nil, "", errors.New("the address is none: give one like https://chat.example")
	}
	switch u.Scheme {
	case "http", "https":
	case "ws", "wss":
		u.Scheme = "http" + strings.TrimPrefix(u.Scheme, "ws")
	default:
		return nil, nil, "", errors.New("the address is not for Socket.IO: give an http or https address")
	}
	if u.Hostname() == "" || strings.ContainsAny(u.Hostname(), " <>\"{}|\\^`%/?#") {
		return nil, nil, "", errors.New("the address names no host: give one like https://chat.example")
	}
	if p := u.Port(); p != "" {
		if n, err := net.LookupPort("tcp", p); err != nil || n == 0 {
			return nil, nil, "", errors.New("what follows the host's colon is no port: give an address like https://chat.example:8443")
		}
	}
	q := u.Query()
	for _, k := range own {
		q.Del(k)
	}
	b := &url.URL{Scheme: u.Scheme, Host: u.Host}
	own := strings.HasSuffix(strings.TrimSuffix(u.Path, "/"), "/socket.io")
	switch {
	case path != "":
		b.Path = "/" + strings.Trim(path, "/") + "/"
		if b.Path == "//" {
			b.Path = "/"
		}
	case own:
		b.Path = strings.TrimSuffix(u.Path, "/") + "/"
	default:
		b.Path = "/socket.io/"
	}
	p := &url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	if own || p.Path == "" {
		p.Path = "/"
	}
	if !own && path == "" {
		q = nil // a page's query is the page's
	}
	return b, p, q.Encode(), nil
}

// endpoint is its address, to be shown.
func (e *exam) endpoint() string { return e.base.String() }

// path is the endpoint's, to be shown: a redirect may have brought anything.
func (e *exam) path() string { return excerpt(e.base.EscapedPath()) }

// origin is the page whose requests are imitated.
func (e *exam) origin() string {
	if e.o.Origin != "" {
		return strings.TrimSuffix(e.o.Origin, "/")
	}
	return e.base.Scheme + "://" + e.base.Host
}

// from is the i-th source address.
func (e *exam) from(i int) netip.Addr {
	if len(e.o.From) == 0 {
		return netip.Addr{}
	}
	return e.o.From[i%len(e.o.From)]
}

// lackedKey is where a check's context notes that a request of its own was not
// made, for want of budget.
type lackedKey struct{}

// take counts a request, and waits until it may be made.
func (e *exam) take(ctx context.Context, held bool) (release func(), err error) {
	if !held {
		select {
		case e.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	release = func() {
		if !held {
			<-e.slots
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.made >= e.o.Requests {
		release()
		e.spent = true
		if lacked, ok := ctx.Value(lackedKey{}).(*atomic.Bool); ok {
			lacked.Store(true)
		}
		return nil, errBudget
	}
	e.made++
	return release, nil
}

// outOf tells that requests were not made since they were used up.
func (e *exam) outOf() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.spent
}

func (e *exam) requests() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.made
}

// noticed keeps what answers tell by the way.
func (e *exam) noticed(a *Answer, timed bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.proxy = e.proxy.or(inSight(a.Header, a.Body))
	if !timed {
		return
	}
	t := trip{took: a.Took}
	if at, err := http.ParseTime(a.Header.Get("Date")); err == nil {
		// The server wrote it, cut to the second, about half the trip ago.
		t.date, t.skew = true, at.Add(500*time.Millisecond).Sub(a.At.Add(a.Took/2))
	}
	e.trips = append(e.trips, t)
}

// sight is the proxy in sight, or the one that was named.
func (e *exam) sight() Proxy {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.o.Proxy != "" {
		p := Proxy{Name: e.o.Proxy}
		if e.proxy.Name == p.Name {
			p = e.proxy
		}
		return p
	}
	return e.proxy
}

// followed counts the follow-ups made after the sticky check.
func (e *exam) followed(s *session, a *Answer) {
	if a.stranger() && s.old(a) {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.follows++
	if a.stranger() {
		e.strays = append(e.strays, a)
	}
}

// tries is how often a request is repeated that meets strangers.
func (e *exam) tries() int {
	if e.affinity == "" || e.sticky {
		return 1
	}
	if e.workers != nil {
		return min(3*e.workers.About, 12)
	}
	return 6
}

func (e *exam) closed(s *session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.live = slices.DeleteFunc(e.live, func(o *session) bool { return o == s })
}

// end closes what the checks left open, politely but once.
func (e *exam) end(interrupted bool) {
	patience := 2 * time.Second
	if interrupted {
		patience = 300 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	e.mu.Lock()
	left := slices.Clone(e.live)
	e.mu.Unlock()
	for _, s := range left {
		s.send(ctx, http.MethodPost, "1", to{door: s.door}, call{wait: time.Second})
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, d := range e.doors {
		d.shut()
	}
}
