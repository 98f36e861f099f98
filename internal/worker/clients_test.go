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
