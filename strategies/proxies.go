package strategies

import (
	"fmt"
	"iter"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies are the networks whose word about the client's address is believed:
// --trust-proxies. Nobody's is, if there are none.
type Proxies []netip.Prefix

// ParseProxies reads CIDRs, and single addresses.
func ParseProxies(all []string) (Proxies, error) {
	var ps Proxies
	for _, s := range all {
		p, err := netip.ParsePrefix(s)
		if a, aerr := netip.ParseAddr(s); aerr == nil && a.Zone() == "" {
			a = a.Unmap()
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("--trust-proxies %q is not a CIDR: write addresses such as 10.0.0.0/8", s)
		}
		if p.Addr().Is4In6() && p.Bits() >= 96 { // as addresses are before they are compared
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		if p = p.Masked(); !slices.Contains(ps, p) {
			ps = append(ps, p)
		}
	}
	return ps, nil
}

// Contain tells whether a is a trusted proxy's address.
func (ps Proxies) Contain(a netip.Addr) bool {
	a = a.Unmap()
	for _, p := range ps {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Client returns the address of the client whose request came from peer: peer
// itself, unless that is a trusted proxy. Of what proxies tell, the rightmost
// address that is not a trusted proxy's counts, since what stands left of it
// the client may have made up; where they stop telling (an unknown or hidden
// hop), the last proxy known.
//
// A proxy that sets only one of X-Forwarded-For and Forwarded (RFC 7239) passes
// the other on as its client wrote it, and nothing tells which is which. So if
// both are there they must agree; if they don't, neither counts, clash is true
// and the client is peer.
func (ps Proxies) Client(peer netip.Addr, h http.Header) (client netip.Addr, clash bool) {
	peer = peer.Unmap()
	if !ps.Contain(peer) {
		return peer, false
	}
	x, f := h.Values("X-Forwarded-For"), h.Values("Forwarded")
	byX, byF := ps.walk(peer, hops(x, parseHop)), ps.walk(peer, hops(f, parseElement))
	switch {
	case !tells(f):
		return byX, false
	case !tells(x):
		return byF, false
	}
	if byX != byF {
		return peer, true
	}
	return byX, false
}

// LastHop returns the last address of X-Forwarded-For, for a sender who has
// looked through all proxies before it; invalid if there is none.
func LastHop(h http.Header) (a netip.Addr) {
	for a := range hops(h.Values("X-Forwarded-For"), parseHop) {
		return a
	}
	return a
}

func tells(lines []string) bool { return strings.TrimSpace(strings.Join(lines, "")) != "" }

// walk goes from peer towards the client for as long as proxies are trusted.
// hops are the addresses right to left; an invalid one is not known.
func (ps Proxies) walk(peer netip.Addr, hops iter.Seq[netip.Addr]) netip.Addr {
	at := peer
	for hop := range hops {
		if !hop.IsValid() {
			break
		}
		if at = hop; !ps.Contain(at) {
			break
		}
	}
	return at
}

// hops reads a header's list of addresses from the right. A quotation mark that
// a client left open thus spoils only what stands left of the proxies' own words.
func hops(lines []string, parse func(string) netip.Addr) iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for i := len(lines) - 1; i >= 0; i-- {
			for rest, more := lines[i], true; more; {
				var hop string
				if rest, hop, more = cutLast(rest, ','); !yield(parse(hop)) {
					return
				}
			}
		}
	}
}

// cutLast cuts s around the last sep that is not within quotation marks.
func cutLast(s string, sep byte) (before, last string, found bool) {
	quoted := false
	for i := len(s) - 1; i >= 0; i-- {
		switch {
		case s[i] == '"' && (i == 0 || s[i-1] != '\\'):
			quoted = !quoted
		case s[i] == sep && !quoted:
			return s[:i], s[i+1:], true
		}
	}
	return "", s, false
}

// parseElement returns the for= of `for="[2001:db8::7]:4711";proto=https`;
// invalid when it has none, or two.
func parseElement(s string) (a netip.Addr) {
	found := 0
	for more := true; more; {
		var pair string
		s, pair, more = cutLast(s, ';')
		name, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if !ok || !strings.EqualFold(name, "for") {
			continue
		}
		found++
		if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
			value = value[1 : n-1]
		}
		a = parseHop(value)
	}
	if found != 1 {
		return netip.Addr{}
	}
	return a
}

// parseHop reads an address, in brackets or not; some proxies add the port. What
// is none (unknown, _hidden, garbage) is invalid.
func parseHop(s string) netip.Addr {
	s = strings.TrimSpace(s)
	if i := strings.LastIndex(s, ":_"); i > 0 { // RFC 7239 lets proxies hide the port
		s = s[:i]
	}
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		var ap netip.AddrPort
		ap, err = netip.ParseAddrPort(s)
		a = ap.Addr()
	}
	if err != nil || a.Zone() != "" {
		return netip.Addr{}
	}
	return a.Unmap()
}
