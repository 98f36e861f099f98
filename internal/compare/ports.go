package compare

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"
)

// hosts are the Host headers by which browsers may ask for the page, the one to
// print first. Names that somebody else may point here are none of them.
func hosts(public netip.AddrPort) (all []string) {
	add := func(host string) {
		at := net.JoinHostPort(host, strconv.Itoa(int(public.Port())))
		if public.Port() == 80 { // browsers leave it out
			at = at[:len(at)-len(":80")]
		}
		if !slices.Contains(all, at) {
			all = append(all, at)
		}
	}
	ip := public.Addr().Unmap()
	add(reachable(ip).String())
	if ip.IsLoopback() || ip.IsUnspecified() {
		add("localhost")
	}
	if ip.IsUnspecified() {
		if name, err := os.Hostname(); err == nil {
			add(name)
		}
		addrs, _ := net.InterfaceAddrs()
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() {
				add(n.IP.String())
			}
		}
	}
	return all
}

// reachable is the address to connect to: a wildcard as loopback.
func reachable(ip netip.Addr) netip.Addr {
	if ip = ip.Unmap(); ip.IsUnspecified() {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return ip
}

// taken are the ports given out in this process: clusters start side by side.
var taken = struct {
	sync.Mutex
	ports map[int]bool
}{ports: map[int]bool{}}

// freePorts returns the first of n ports in a row on which nobody listens. They
// lie below those that systems give to clients.
func freePorts(n int) (first int, ok bool) {
	taken.Lock()
	defer taken.Unlock()
	for range 100 {
		first = 20000 + rand.IntN(12000-n)
		if free(first, n) && !slices.ContainsFunc(span(first, n), func(p int) bool { return taken.ports[p] }) {
			for _, p := range span(first, n) {
				taken.ports[p] = true
			}
			return first, true
		}
	}
	return 0, false
}

// free tells whether nobody listens on n ports, on any address.
func free(first, n int) bool {
	for _, p := range span(first, n) {
		l, err := net.Listen("tcp", ":"+strconv.Itoa(p))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}

// awaitFree waits until nobody does, or for a while: the workers of a master
// that was killed end by themselves, but after it.
func awaitFree(ctx context.Context, first, n int) {
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end) && !free(first, n); {
		select {
		case <-ctx.Done():
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func span(first, n int) (all []int) {
	for p := first; p < first+n; p++ {
		all = append(all, p)
	}
	return all
}
