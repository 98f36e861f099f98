package worker

import (
	"bytes"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/samedoor/samedoor/internal/control"
	"github.com/samedoor/samedoor/strategies"
)

func TestTrueClient(t *testing.T) {
	trusted, err := strategies.ParseProxies([]string{"10.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	w := &Worker{boot: control.Boot{FrontSecret: "s3cret"}, trusted: trusted, log: slog.New(slog.NewTextHandler(&log, nil))}
	for _, tt := range []struct{ name, remote, front, xff, want string }{
		{"direct", "203.0.113.9:5000", "", "", "203.0.113.9:5000"},
		{"an untrusted sender makes up an address", "203.0.113.9:5000", "", "198.51.100.1", "203.0.113.9:5000"},
		{"our own proxy", "127.0.0.1:5000", "s3cret", "198.51.100.1", "198.51.100.1:0"},
		{"our own proxy, and what the client made up before it", "127.0.0.1:5000", "s3cret", "1.1.1.1, 198.51.100.1", "198.51.100.1:0"},
		{"our own proxy has looked through the others", "127.0.0.1:5000", "s3cret", "1.1.1.1, 10.1.1.1", "10.1.1.1:0"},
		{"a guess at the secret", "127.0.0.1:5000", "guess", "198.51.100.1", "127.0.0.1:5000"},
		{"a trusted proxy", "10.1.2.3:5000", "", "198.51.100.1", "198.51.100.1:0"},
		{"a trusted proxy that says nothing", "10.1.2.3:5000", "", "", "10.1.2.3:5000"},
		{"IPv4 mapped into IPv6", "[::ffff:10.1.2.3]:5000", "", "::ffff:198.51.100.1", "198.51.100.1:0"},
		{"not an address at all", "@", "", "198.51.100.1", "@"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = tt.remote
			if tt.front != "" {
				r.Header.Set(strategies.FrontHeader, tt.front)
			}
			if tt.xff != "" {
				r.Header.Set("X-Forwarded-For", tt.xff)
			}
			if got := w.trueClient(r); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	if log.Len() > 0 {
		t.Errorf("logged: %s", &log)
	}
	for range 3 {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "10.1.2.3:5000"
		r.Header.Set("X-Forwarded-For", "198.51.100.1")
		r.Header.Set("Forwarded", "for=1.1.1.1")
		if got := w.trueClient(r); got != r.RemoteAddr {
			t.Errorf("headers that disagree: %s", got)
		}
	}
	if n := strings.Count(log.String(), "disagree"); n != 1 {
		t.Errorf("said %d times: %s", n, &log)
	}
}

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
