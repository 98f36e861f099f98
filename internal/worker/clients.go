package worker

import (
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/samedoor/samedoor/internal/control"
	"github.com/samedoor/samedoor/internal/forward"
	"github.com/samedoor/samedoor/strategies"
)

// fromClients prepares a request that comes from outside: who the client
// truly is, and none of the headers that workers use among themselves.
func (w *Worker) fromClients(next http.Handler) http.Handler {
	next = w.signed(next)
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		boundBody(rw, r)
		if in, ok := forward.Arrived(rw, r); ok {
			r = in
		} else {
			r.RemoteAddr = w.trueClient(r)
		}
		forward.Clean(r.Header)
		r.Header.Del(strategies.FrontHeader)
		if w.draining.Load() && r.Header.Get("Upgrade") == "" {
			rw.Header().Set("Connection", "close") // the client's next request finds another worker
		}
		next.ServeHTTP(rw, r)
	})
}

// signed has answers tell which worker they come from.
func (w *Worker) signed(next http.Handler) http.Handler {
	slot := strconv.Itoa(w.boot.Slot)
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set(forward.WorkerHeader, slot)
		next.ServeHTTP(rw, r)
	})
}

// boundBody gives a body, wherever it comes, 30 s: net/http waits for one before
// it answers. A hijacked connection is freed of the deadline.
func boundBody(rw http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		_ = http.NewResponseController(rw).SetReadDeadline(time.Now().Add(30 * time.Second))
	}
}

// trueClient returns host:port of the client: of the connection, unless that
// comes from a proxy which is believed. The master's own proxy proves itself by a
// secret; it has looked through all other proxies and tells whom it found last.
func (w *Worker) trueClient(r *http.Request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	if control.SameSecret(r.Header.Get(strategies.FrontHeader), w.boot.FrontSecret) {
		if client := strategies.LastHop(r.Header); client.IsValid() {
			return net.JoinHostPort(client.String(), "0")
		}
		return r.RemoteAddr
	}
	client, clash := w.trusted.Client(peer.Addr(), r.Header)
	if clash {
		w.clash.Do(func() {
			w.log.Warn("a trusted proxy's X-Forwarded-For and Forwarded disagree, so neither is believed: let it delete the one it does not set", "proxy", peer.Addr())
		})
	}
	if client == peer.Addr().Unmap() {
		return r.RemoteAddr
	}
	return net.JoinHostPort(client.String(), "0")
}
