package worker

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/samedoor/samedoor/strategies"
)

// fromClients prepares a request that comes from outside: who the client
// truly is, and none of the headers that workers use among themselves.
func (w *Worker) fromClients(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		boundBody(rw, r)
		r.RemoteAddr = w.trueClient(r)
		for _, h := range []string{viaHeader, clientHeader, secretHeader, strategies.FrontHeader} {
			r.Header.Del(h)
		}
		rw.Header().Set(workerHeader, strconv.Itoa(w.boot.Slot))
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

// trueClient returns host:port of the client. X-Forwarded-For is believed of
// the master's own proxy, which proves itself by a secret, and of addresses in
// --trust-proxies: of those the rightmost entry that is not a proxy itself.
// What stands left of it the client may have made up.
func (w *Worker) trueClient(r *http.Request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	ours := secretsEqual(r.Header.Get(strategies.FrontHeader), w.boot.FrontSecret)
	if !ours && !w.trusts(peer.Addr()) {
		return r.RemoteAddr
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		a, err := parseHop(strings.TrimSpace(hops[i]))
		if err != nil {
			break // not written by a proxy we know
		}
		if !w.trusts(a) || i == 0 {
			return net.JoinHostPort(a.Unmap().String(), "0")
		}
	}
	return r.RemoteAddr
}

// parseHop reads an address; some proxies add the port.
func parseHop(s string) (netip.Addr, error) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr(), nil
	}
	return netip.ParseAddr(s)
}

func (w *Worker) trusts(a netip.Addr) bool {
	for _, p := range w.trusted {
		if p.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}

// parsePrefixes reads CIDRs, and single addresses.
func parsePrefixes(all []string) ([]netip.Prefix, error) {
	var ps []netip.Prefix
	for _, s := range all {
		if a, err := netip.ParseAddr(s); err == nil {
			ps = append(ps, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("--trust-proxies %q is not a CIDR: write addresses such as 10.0.0.0/8", s)
		}
		ps = append(ps, p.Masked())
	}
	return ps, nil
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
			writeJSON(rw, w.ring.Of(r.URL.Query().Get("sid")))
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
		rw.Header().Set(viaHeader, strconv.Itoa(via))
		next.ServeHTTP(rw, r.WithContext(context.WithValue(r.Context(), viaKey{}, via)))
	})
}

type viaKey struct{}

// viaOf returns the slot of the worker that forwarded a request.
func viaOf(ctx context.Context) (slot int, ok bool) {
	slot, ok = ctx.Value(viaKey{}).(int)
	return slot, ok
}
