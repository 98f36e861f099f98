package strategies

import (
	"net/netip"
	"testing"
)

func TestLook(t *testing.T) {
	ps, err := ParseProxies([]string{"10.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	request := func(headers string) string { return "GET / HTTP/1.1\r\nHost: a\r\n" + headers + "\r\n" }
	const proxy, x = "10.1.1.1", "X-Forwarded-For: 203.0.113.5\r\n"
	for _, tt := range []struct{ name, peer, head, want string }{
		{"untrusted", "198.51.100.9", "", "198.51.100.9"},
		{"untrusted, with the PROXY protocol", "198.51.100.9", v1TCP4 + request(x), "198.51.100.9"},
		{"PROXY protocol, version 1", proxy, v1TCP4, "198.51.100.7"},
		{"PROXY protocol, version 2", proxy, v2TCP4, "198.51.100.7"},
		{"what its client says further on", proxy, v2TCP4 + request(x), "198.51.100.7"},
		{"and what a proxy behind a proxy does", proxy, "PROXY TCP4 10.2.2.2 127.0.0.1 1 2\r\n" + request(x), "203.0.113.5"},
		{"LOCAL", proxy, v2Local + request(""), proxy},
		{"X-Forwarded-For", proxy, request(x), "203.0.113.5"},
		{"Forwarded", proxy, request("forwarded: for=203.0.113.5\r\n"), "203.0.113.5"},
		{"both, apart", proxy, request(x + "forwarded: for=203.0.113.6\r\n"), proxy},
		{"nothing", proxy, request(""), proxy},
		{"TLS", proxy, "\x16\x03\x01", proxy},
		{"TLS after the PROXY protocol", proxy, v2TCP4 + "\x16\x03\x01", "198.51.100.7"},
		{"no HTTP", proxy, "hello\r\nthis is not a header\r\n\r\n", proxy},
	} {
		t.Run(tt.name, func(t *testing.T) {
			peer := netip.MustParseAddr(tt.peer)
			if got, ok := ps.Look(peer, []byte(tt.head)); !ok || got.String() != tt.want {
				t.Errorf("%s, %v; want %s", got, ok, tt.want)
			}
			// As it arrives, the answer is "wait" until it is this one.
			for i := range len(tt.head) {
				if got, ok := ps.Look(peer, []byte(tt.head[:i])); ok && got.String() != tt.want {
					t.Fatalf("after %d bytes: %s", i, got)
				}
			}
		})
	}
}

func FuzzLook(f *testing.F) {
	f.Add([]byte(v2TCP4 + "GET / HTTP/1.1\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n"))
	f.Add([]byte("\x16\x03\x01"))
	ps, _ := ParseProxies([]string{"10.0.0.0/8"})
	f.Fuzz(func(t *testing.T, head []byte) {
		if got, ok := ps.Look(netip.MustParseAddr("198.51.100.9"), head); !ok || got.String() != "198.51.100.9" {
			t.Errorf("an untrusted peer is taken for %s", got)
		}
		if got, _ := ps.Look(netip.MustParseAddr("10.1.1.1"), head); !got.IsValid() {
			t.Error("nobody")
		}
	})
}
