package worker

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/samedoor/samedoor/internal/forward"
)

// origins decides which pages may connect, by polling and by WebSocket alike:
// browsers enforce nothing on WebSockets.
type origins struct {
	listed []string     // --origins; "*" lists all
	https  bool         // this cluster speaks TLS: its own pages do, too
	ports  func() []int // of this cluster, whose pages may connect across them
}

// check tells whether the request's Origin may connect, and whether it is
// another than the address asked for, so that the answer needs CORS headers.
// Requests without an Origin do not come from a browser's page.
func (o origins) check(r *http.Request) (allowed, cross bool) {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true, false
	}
	u, err := url.Parse(origin)
	if err == nil && (u.Scheme == "https" || u.Scheme == "http" && !o.https) && u.Host != "" {
		if strings.EqualFold(withPort(u.Host, u.Scheme), withPort(r.Host, u.Scheme)) {
			return true, false
		}
		host, _, err := net.SplitHostPort(withPort(r.Host, u.Scheme))
		port, perr := strconv.Atoi(portOf(u))
		if err == nil && perr == nil && strings.EqualFold(u.Hostname(), host) && slices.Contains(o.ports(), port) {
			return true, true
		}
	}
	for _, l := range o.listed {
		if l == "*" || strings.EqualFold(strings.TrimSuffix(l, "/"), origin) {
			return true, true
		}
	}
	return false, true
}

// allow lets the page's script read the answer, and where it came from.
func (o origins) allow(h http.Header, r *http.Request) {
	h.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	h.Add("Vary", "Origin")
	h.Set("Access-Control-Expose-Headers", forward.WorkerHeader+", "+forward.ViaHeader)
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", "GET, POST")
		h.Set("Access-Control-Allow-Headers", "Content-Type")
		h.Set("Access-Control-Max-Age", "600")
	}
}

// share lets the scripts of pages that may connect read what is served about the
// cluster, as `samedoor compare` does from an origin of its own. Browsers keep it
// from others by themselves.
func (o origins) share(h http.Header, r *http.Request) {
	if allowed, cross := o.check(r); allowed && cross {
		o.allow(h, r)
		return
	}
	h.Add("Vary", "Origin")
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
