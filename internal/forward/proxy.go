package forward

import (
	"context"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"
)

// What the proxy must know of the request that it forwards.
type proxied struct {
	to     peer
	gone   http.HandlerFunc // answers, should the peer be gone
	header http.Header      // of that answer
}

type proxiedKey struct{}

func newTransport(patience time.Duration) *http.Transport {
	return &http.Transport{
		DialContext:           dialPeer,
		DisableCompression:    true, // pass on what the owner sends, as it is
		MaxIdleConnsPerHost:   32,
		IdleConnTimeout:       30 * time.Second,
		ResponseHeaderTimeout: patience,
	}
}

func newProxy(slot int, over http.RoundTripper) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Transport:     over,
		FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) {
			to := r.In.Context().Value(proxiedKey{}).(proxied).to
			r.Out.URL.Scheme, r.Out.URL.Host = "http", hostOf(to.addr)
			r.Out.Host = r.In.Host // what the Origin is compared with
			r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
			r.Out.Header.Set(ViaHeader, strconv.Itoa(slot))
			r.Out.Header.Set(clientHeader, r.In.RemoteAddr)
			r.Out.Header.Set(secretHeader, to.secret)
		},
		ErrorHandler: func(rw http.ResponseWriter, r *http.Request, _ error) {
			if r.Context().Err() != nil { // the client has left: nothing is wrong
				return
			}
			p := r.Context().Value(proxiedKey{}).(proxied)
			maps.Copy(rw.Header(), p.header)
			p.gone(rw, r)
		},
		ErrorLog: log.New(io.Discard, "", 0), // what clients do wrong
	}
}

func (f *Forwarder) proxyTo(rw http.ResponseWriter, r *http.Request, to peer, gone http.HandlerFunc) {
	f.count.Add(1)
	p := proxied{to, gone, rw.Header().Clone()}
	clear(rw.Header()) // the owner sets them all
	if p.header.Get("Connection") != "" {
		rw.Header().Set("Connection", "close")
	}
	f.proxy.ServeHTTP(rw, r.WithContext(context.WithValue(r.Context(), proxiedKey{}, p)))
}

// polls are those that are proxied, and how many of each are under way.
type polls struct {
	mu   sync.Mutex
	held map[poll]int
}

type poll struct {
	sid   string
	owner peer
}

// begin notes a poll until it is answered.
func (p *polls) begin(one poll) (answered func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held == nil {
		p.held = map[poll]int{}
	}
	p.held[one]++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.held[one]--; p.held[one] == 0 {
			delete(p.held, one)
		}
	}
}

func (p *polls) all() []poll {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Keys(p.held))
}

// nudgePath is where an owner is asked to answer a poll.
const nudgePath = "/-/nudge"

// NudgeOwners has the owners answer the polls that this worker forwards: cut off with
// it, they would end their sessions.
func (f *Forwarder) NudgeOwners(ctx context.Context) {
	for _, p := range f.polls.all() {
		var none any
		_ = f.ask(ctx, p.owner, nudgePath+"?sid="+url.QueryEscape(p.sid), &none)
	}
}
