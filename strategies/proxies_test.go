package strategies

import (
	"net/http"
	"net/netip"
	"testing"
)

func TestClient(t *testing.T) {
	ps, err := ParseProxies([]string{"10.0.0.0/8", "2001:db8::/32", "192.0.2.1", "::ffff:192.0.2.2", "::ffff:172.16.0.0/108"})
	if err != nil {
		t.Fatal(err)
	}
	const proxy, clash = "10.1.2.3", "clash"
	for _, tt := range []struct{ name, peer, x, f, want string }{
		{"direct", "203.0.113.9", "", "", "203.0.113.9"},
		{"an untrusted sender makes up an address", "203.0.113.9", "198.51.100.1", "", "203.0.113.9"},
		{"an untrusted sender makes up two", "203.0.113.9", "198.51.100.1", "for=198.51.100.1", "203.0.113.9"},
		{"a trusted proxy", proxy, "198.51.100.1", "", "198.51.100.1"},
		{"two trusted proxies", proxy, "1.1.1.1, 198.51.100.1, 10.9.9.9", "", "198.51.100.1"},
		{"nothing but trusted proxies", proxy, "10.7.7.7, 10.9.9.9", "", "10.7.7.7"},
		{"a trusted proxy that says nothing", proxy, "", "", proxy},
		{"garbage next to the proxy", proxy, "198.51.100.1, unknown", "", proxy},
		{"garbage beyond a proxy", proxy, "198.51.100.1, unknown, 10.9.9.9", "", "10.9.9.9"},
		{"empty places", proxy, ",,198.51.100.1,,", "", proxy},
		{"an address with its port", proxy, "198.51.100.1:4711", "", "198.51.100.1"},
		{"IPv6", "2001:db8::1", "2a00::7", "", "2a00::7"},
		{"IPv6 with its port", proxy, "[2a00::7]:4711", "", "2a00::7"},
		{"IPv6 in brackets", proxy, "[2a00::7]", "", "2a00::7"},
		{"IPv6 with a zone", proxy, "fe80::1%eth0", "", proxy},
		{"IPv4 mapped into IPv6", "::ffff:10.1.2.3", "::ffff:198.51.100.1", "", "198.51.100.1"},
		{"a single trusted address", "192.0.2.1", "198.51.100.1", "", "198.51.100.1"},
		{"a mapped trusted network", "172.31.0.1", "198.51.100.1", "", "198.51.100.1"},
		{"beyond a mapped trusted network", "172.32.0.1", "198.51.100.1", "", "172.32.0.1"},
		{"a mapped trusted address", "192.0.2.2", "198.51.100.1", "", "198.51.100.1"},

		{"Forwarded", proxy, "", "for=198.51.100.1", "198.51.100.1"},
		{"with all it may have", proxy, "", `By=10.1.2.3; FOR="198.51.100.1:4711";proto=https;host="a,b;c"`, "198.51.100.1"},
		{"IPv6, quoted", proxy, "", `for="[2a00::7]:4711"`, "2a00::7"},
		{"IPv6, quoted, without a port", proxy, "", `for="[2a00::7]"`, "2a00::7"},
		{"a hidden port", proxy, "", `for="198.51.100.1:_p"`, "198.51.100.1"},
		{"through two proxies", proxy, "", `for=1.1.1.1, for=198.51.100.1, for="10.9.9.9:80"`, "198.51.100.1"},
		{"a hidden hop", proxy, "", "for=1.1.1.1, for=_secret, for=10.9.9.9", "10.9.9.9"},
		{"an unknown client", proxy, "", "for=unknown", proxy},
		{"a hop without for", proxy, "", "for=1.1.1.1, proto=https", proxy},
		{"a hop with two", proxy, "", "for=1.1.1.1;for=2.2.2.2", proxy},
		{"an open quote does not reach the proxy's words", proxy, "", `for=1.1.1.1;x=", for=198.51.100.1`, "198.51.100.1"},
		{"nor its quoted ones", proxy, "", `for=1.1.1.1;x=", for="[2a00::7]"`, "2a00::7"},

		{"both agree", proxy, "1.1.1.1, 198.51.100.1", `for=2.2.2.2, for="198.51.100.1:4711"`, "198.51.100.1"},
		{"a client writes what the proxy does not", proxy, "198.51.100.1", "for=1.1.1.1", clash},
		{"or the other way round", proxy, "1.1.1.1", "for=198.51.100.1", clash},
		{"or nonsense", proxy, "198.51.100.1", "nonsense", clash},
		{"or nothing", proxy, "198.51.100.1", " ", "198.51.100.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{}
			if tt.x != "" {
				h.Set("X-Forwarded-For", tt.x)
			}
			if tt.f != "" {
				h.Set("Forwarded", tt.f)
			}
			want, wantClash := tt.want, false
			if want == clash {
				want, wantClash = proxy, true
			}
			if got, clash := ps.Client(netip.MustParseAddr(tt.peer), h); got.String() != want || clash != wantClash {
				t.Errorf("got %s, clash %v; want %s, %v", got, clash, want, wantClash)
			}
		})
	}
}

// Several lines are one list; a line that a client spoilt spoils no other.
func TestClientLines(t *testing.T) {
	ps, _ := ParseProxies([]string{"10.0.0.0/8"})
	h := http.Header{"Forwarded": {`for=1.1.1.1;x="`, "for=198.51.100.1", "for=10.2.2.2"}}
	if got, _ := ps.Client(netip.MustParseAddr("10.1.1.1"), h); got.String() != "198.51.100.1" {
		t.Errorf("got %s", got)
	}
}

func TestParseProxies(t *testing.T) {
	for _, bad := range []string{"nonsense", "10.0.0.0/33", "", "fe80::1%eth0"} {
		if _, err := ParseProxies([]string{bad}); err == nil {
			t.Errorf("%q is taken for a CIDR", bad)
		}
	}
}

// Whatever clients write, what the trusted proxy appends decides.
func FuzzClient(f *testing.F) {
	f.Add("1.1.1.1, 2.2.2.2", `for="[::1]";by=x, for=1.1.1.1;x="`)
	f.Add(",,,", `",",",\"`)
	ps, _ := ParseProxies([]string{"10.0.0.0/8"})
	peer, client := netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("198.51.100.1")
	f.Fuzz(func(t *testing.T, x, fw string) {
		if got, _ := ps.Client(client, http.Header{"X-Forwarded-For": {x}, "Forwarded": {fw}}); got != client {
			t.Errorf("%q, %q: an untrusted sender is taken for %s", x, fw, got)
		}
		if got, _ := ps.Client(peer, http.Header{"X-Forwarded-For": {x + ", 198.51.100.1"}}); got != client {
			t.Errorf("%q: %s", x, got)
		}
		for _, own := range []string{", for=198.51.100.1", `,for="198.51.100.1:4711";proto=http`} {
			if got, _ := ps.Client(peer, http.Header{"Forwarded": {fw + own}}); got != client {
				t.Errorf("%q: %s", fw+own, got)
			}
		}
		got, _ := ps.Client(peer, http.Header{"X-Forwarded-For": {x + ", 198.51.100.1"}, "Forwarded": {fw}})
		if got != client && got != peer {
			t.Errorf("%q, %q: the client chose %s", x, fw, got)
		}
	})
}
