// Package origin decides which pages' scripts are listened to. It looks at
// requests alone, and knows nothing of what they ask for.
package origin

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A Policy says which pages may connect, by polling and by WebSocket alike:
// browsers enforce nothing on WebSockets.
type Policy struct {
	Listed []string     // --origins; "*" lists all
	HTTPS  bool         // this cluster speaks TLS: its own pages do, too
	Ports  func() []int // of this cluster, whose pages may connect across them
	Expose string       // headers of answers that they may read
}

// Check tells whether the request's Origin may connect, and whether it is
// another than the address asked for, so that the answer needs CORS headers.
// Requests without an Origin do not come from a browser's page.
func (p Policy) Check(r *http.Request) (allowed, cross bool) {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true, false
	}
	u, err := url.Parse(origin)
	if err == nil && (u.Scheme == "https" || u.Scheme == "http" && !p.HTTPS) && u.Host != "" {
		if strings.EqualFold(withPort(u.Host, u.Scheme), withPort(r.Host, u.Scheme)) {
			return true, false
		}
		host, _, err := net.SplitHostPort(withPort(r.Host, u.Scheme))
		port, perr := strconv.Atoi(portOf(u))
		if err == nil && perr == nil && strings.EqualFold(u.Hostname(), host) && slices.Contains(p.Ports(), port) {
			return true, true
		}
	}
	for _, l := range p.Listed {
		if l == "*" || strings.EqualFold(strings.TrimSuffix(l, "/"), origin) {
			return true, true
		}
	}
	return false, true
}

// Allow lets the page's script read the answer, and where it came from.
func (p Policy) Allow(h http.Header, r *http.Request) {
	h.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	h.Add("Vary", "Origin")
	h.Set("Access-Control-Expose-Headers", p.Expose)
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", "GET, POST")
		h.Set("Access-Control-Allow-Headers", "Content-Type")
		h.Set("Access-Control-Max-Age", "600")
	}
}

// Share lets the scripts of pages that may connect read what is served about the
// cluster, as `samedoor compare` does from an origin of its own. Browsers keep it
// from others by themselves.
func (p Policy) Share(h http.Header, r *http.Request) {
	if allowed, cross := p.Check(r); allowed && cross {
		p.Allow(h, r)
		return
	}
	h.Add("Vary", "Origin")
}

// Same tells whether a script of the very origin asked for sends r: what may be
// ordered by this cluster's own pages alone.
func (p Policy) Same(r *http.Request) bool {
	scheme := "http"
	if p.HTTPS {
		scheme = "https"
	}
	u, err := url.Parse(r.Header.Get("Origin"))
	return err == nil && u.Host != "" && r.Header.Get("Origin") == scheme+"://"+u.Host &&
		strings.EqualFold(withPort(u.Host, scheme), withPort(r.Host, scheme))
}

// IsLoopback tells whether a host is this machine for itself: an address such
// as 127.0.0.1, or localhost.
func IsLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && a.Unmap().IsLoopback()
}

// Host takes the port off, and the brackets.
func Host(hostport string) string {
	host, _, _ := net.SplitHostPort(withPort(hostport, "http"))
	return host
}

// withPort adds the scheme's port to a host without one.
func withPort(host, scheme string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	port := "80"
	if scheme == "https" {
		port = "443"
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}

func portOf(u *url.URL) string {
	_, port, _ := net.SplitHostPort(withPort(u.Host, u.Scheme))
	return port
}
