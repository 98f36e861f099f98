package worker

import (
	"net/http/httptest"
	"testing"
)

func TestOrigins(t *testing.T) {
	o := origins{listed: []string{"https://chat.example", "http://other:8080/"}, ports: func() []int { return []int{8080, 3131, 3132} }}
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
		allowed, cross := o.check(r)
		if allowed != tt.allowed || cross != tt.cross {
			t.Errorf("Origin %q at %s: %v %v, want %v %v", tt.origin, tt.host, allowed, cross, tt.allowed, tt.cross)
		}
	}
	// Where this cluster speaks TLS, an unprotected page is nobody's own.
	secure := origins{https: true, listed: o.listed, ports: o.ports}
	for origin, want := range map[string]bool{"https://a:8080": true, "https://a:3131": true, "http://a:8080": false, "http://a:3131": false, "http://other:8080": true} {
		r := httptest.NewRequest("GET", "/socket.io/", nil)
		r.Host = "a:8080"
		r.Header.Set("Origin", origin)
		if allowed, _ := secure.check(r); allowed != want {
			t.Errorf("Origin %q with TLS: %v", origin, allowed)
		}
	}
	star := origins{listed: []string{"*"}, ports: o.ports}
	r := httptest.NewRequest("GET", "/socket.io/", nil)
	r.Header.Set("Origin", "https://anywhere.example")
	if allowed, cross := star.check(r); !allowed || !cross {
		t.Error("* does not allow all")
	}
}
