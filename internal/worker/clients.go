package worker

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/samedoor/samedoor/internal/handover"
	"github.com/samedoor/samedoor/strategies"
)

// fromClients prepares a request that comes from outside: who the client
// truly is, and none of the headers that workers use among themselves.
func (w *Worker) fromClients(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		boundBody(rw, r)
		if c, ok := connOf(r.Context()).(*handover.Conn); ok && c.Claim() {
			r = arrived(rw, r, c)
		} else {
			r.RemoteAddr = w.trueClient(r)
		}
		for _, h := range []string{viaHeader, clientHeader, secretHeader, strategies.FrontHeader} {
			r.Header.Del(h)
		}
		rw.Header().Set(workerHeader, strconv.Itoa(w.boot.Slot))
		if w.draining.Load() && r.Header.Get("Upgrade") == "" {
			rw.Header().Set("Connection", "close") // the client's next request finds another worker
		}
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
	if secretsEqual(r.Header.Get(strategies.FrontHeader), w.boot.FrontSecret) {
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

// fromPeers prepares a request that another worker forwarded, on a listener
// that only workers can use: a unix socket of this user, or TCP with a secret.
func (w *Worker) fromPeers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Context().Value(http.LocalAddrContextKey).(net.Addr).Network() != "unix" &&
			!secretsEqual(r.Header.Get(secretHeader), w.boot.Secret) {
			rw.Header().Set("Connection", "close") // idle connections of workers may stay, others not
			http.Error(rw, "this address is for workers of the cluster", http.StatusForbidden)
			return
		}
		switch r.URL.Path {
		case statsPath:
			writeJSON(rw, w.stats())
			return
		case tracePath:
			since, _ := strconv.ParseInt(r.URL.Query().Get("since"), 10, 64) // all, if a worker of another version asks
			writeJSON(rw, w.ring.Of(r.URL.Query().Get("sid"), since))
			return
		case nudgePath:
			w.engine.nudge(r.URL.Query().Get("sid"))
			writeJSON(rw, nil)
			return
		}
		via, err := strconv.Atoi(r.Header.Get(viaHeader))
		if err != nil {
			http.Error(rw, viaHeader+" is missing", http.StatusBadRequest)
			return
		}
		r.RemoteAddr = r.Header.Get(clientHeader)
		r.Header.Del(clientHeader)
		r.Header.Del(secretHeader)
		rw.Header().Set(workerHeader, strconv.Itoa(w.boot.Slot))
		next.ServeHTTP(rw, forwardedBy(via, rw, r))
	})
}

type viaKey struct{}

// forwardedBy marks a request that another worker forwarded, and its answer.
func forwardedBy(via int, rw http.ResponseWriter, r *http.Request) *http.Request {
	rw.Header().Set(viaHeader, strconv.Itoa(via))
	return r.WithContext(context.WithValue(r.Context(), viaKey{}, via))
}

// viaOf returns the slot of the worker that forwarded a request.
func viaOf(ctx context.Context) (slot int, ok bool) {
	slot, ok = ctx.Value(viaKey{}).(int)
	return slot, ok
}
