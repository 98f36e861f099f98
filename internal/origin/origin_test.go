package origin

import (
	"net/http/httptest"
	"testing"
)

func TestOrigins(t *testing.T) {
	o := Policy{Listed: []string{"https://chat.example", "http://other:8080/"}, Ports: func() []int { return []int{8080, 3131, 3132} }}
	for _, tt := range []struct {
		origin, host   string
		allowed, cross bool
	}{
		{"", "a:8080", true, false},
		{"http://a:8080", "a:8080", true, false},
		{"HTTP://A:8080", "a:8080", true, false},
		{"https://a", "a", true, false},         // behind a proxy that speaks TLS
		{"https://a", "a:443", true, false},     //
		{"http://a:8080", "a:3131", true, true}, // a page that connects to a worker's own address
		{"http://a:9999", "a:3131", false, true},
		{"http://b:8080", "a:8080", false, true},
		{"http://a.evil.example:8080", "a:8080", false, true},
		{"null", "a:8080", false, true},
		{"file://", "a:8080", false, true},
		{"https://chat.example", "a:8080", true, true},
		{"http://chat.example", "a:8080", false, true},
		{"http://other:8080", "a:8080", true, true},
		{"http://[::1]:8080", "[::1]:3132", true, true},
		{"http://a:8080:1", "a:8080", false, true},
		{"\x00", "a:8080", false, true},
	} {
		r := httptest.NewRequest("GET", "/socket.io/", nil)
		r.Host = tt.host
		r.Header.Set("Origin", tt.origin)
		allowed, cross := o.Check(r)
		if allowed != tt.allowed || cross != tt.cross {
			t.Errorf("Origin %q at %s: %v %v, want %v %v", tt.origin, tt.host, allowed, cross, tt.allowed, tt.cross)
		}
	}
	// Where this cluster speaks TLS, an unprotected page is nobody's own.
	secure := Policy{HTTPS: true, Listed: o.Listed, Ports: o.Ports}
	for origin, want := range map[string]bool{"https://a:8080": true, "https://a:3131": true, "http://a:8080": false, "http://a:3131": false, "http://other:8080": true} {
		r := httptest.NewRequest("GET", "/socket.io/", nil)
		r.Host = "a:8080"
		r.Header.Set("Origin", origin)
		if allowed, _ := secure.Check(r); allowed != want {
			t.Errorf("Origin %q with TLS: %v", origin, allowed)
		}
	}
	star := Policy{Listed: []string{"*"}, Ports: o.Ports}
	r := httptest.NewRequest("GET", "/socket.io/", nil)
	r.Header.Set("Origin", "https://anywhere.example")
	if allowed, cross := star.Check(r); !allowed || !cross {
		t.Error("* does not allow all")
	}
}

// TestSame: what only this cluster's own pages may do, no other origin may, not
// even one that may connect.
func TestSame(t *testing.T) {
	for _, tt := range []struct {
		origin, host string
		https, want  bool
	}{
		{"http://a:8080", "a:8080", false, true},
		{"http://A:8080", "a:8080", false, true},
		{"http://a", "a:80", false, true},
		{"http://[::1]:8080", "[::1]:8080", false, true},
		{"https://a", "a", true, true},
		{"", "a:8080", false, false},
		{"null", "a:8080", false, false},
		{"http://", "", false, false},
		{"http://a:3131", "a:8080", false, false},
		{"http://b:8080", "a:8080", false, false},
		{"https://a:8080", "a:8080", false, false},
		{"http://a:8080", "a:8080", true, false},
		{"http://a:8080/", "a:8080", false, false},
		{"http://x@a:8080", "a:8080", false, false},
	} {
		r := httptest.NewRequest("POST", "/demo/kill", nil)
		r.Host = tt.host
		r.Header.Set("Origin", tt.origin)
		if got := (Policy{Listed: []string{"*"}, HTTPS: tt.https}).Same(r); got != tt.want {
			t.Errorf("Origin %q at %s, TLS %v: %v", tt.origin, tt.host, tt.https, got)
		}
	}
}

func TestHost(t *testing.T) {
	for _, tt := range []struct {
		hostport, host string
		loopback       bool
	}{
		{"127.0.0.1:8080", "127.0.0.1", true},
		{"127.9.9.9", "127.9.9.9", true},
		{"[::1]:8080", "::1", true},
		{"[::1]", "::1", true},
		{"[::ffff:127.0.0.1]:80", "::ffff:127.0.0.1", true},
		{"LocalHost:8080", "LocalHost", true},
		{"localhost.evil.example", "localhost.evil.example", false},
		{"192.0.2.1:8080", "192.0.2.1", false},
		{"", "", false},
	} {
		if host := Host(tt.hostport); host != tt.host || IsLoopback(host) != tt.loopback {
			t.Errorf("%q: %q, loopback %v", tt.hostport, host, IsLoopback(host))
		}
	}
}
