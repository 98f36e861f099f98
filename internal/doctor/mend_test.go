package doctor_test

import (
	"compress/flate"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/samedoor/samedoor/internal/doctor"
)

// TestNotTheServer: what answers a handshake is told by known words only.
func TestNotTheServer(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
		not    string
	}{
		{"problem", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(400)
			_, _ = io.WriteString(w, `{"type":"https://tools.ietf.org/html/rfc9110","title":"Bad Request","status":400}`)
		}, "the answer to a handshake is 400", "TLS"},
		{"TLS", func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "Client sent an HTTP request to an HTTPS server.", 400)
		}, "speaks TLS", "\x1b"},
		{"unending", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, `0{"sid":"SECRETSIDSECRETSID","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000}`)
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
			case <-time.After(9 * time.Second):
			}
		}, "does not end", "SECRETSID"},
		{"escapes", func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.URL.Path, "x") {
				w.Header().Set("Location", "/x%1b%5d0;pwned%07/socket.io/")
				w.WriteHeader(302)
				return
			}
			http.NotFound(w, r)
		}, "nothing at", "\x1b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(c.answer)
			defer s.Close()
			r := examined(t, doctor.Options{URL: s.URL, Timeout: time.Second})
			got := text(t, r)
			if f := r.Find("reachable"); f.Status != doctor.Failure || !strings.Contains(f.Title, c.want) || strings.Contains(got, c.not) {
				t.Errorf("%q", got)
			}
		})
	}
}

// TestLaterHandshakes: those that fail once sticky is through are told of.
func TestLaterHandshakes(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	r := examined(t, doctor.Options{URL: front(t, stub(t, refuse), func(w http.ResponseWriter, r *http.Request) bool {
		q := r.URL.Query()
		if q.Get("sid") == "" && q.Get("transport") == "polling" && n.Add(1) > 6 {
			w.WriteHeader(503)
			return false
		}
		return true
	})})
	if f := r.Find("namespace"); f.Status != doctor.Warning || !strings.Contains(f.Title, "a handshake fails") {
		t.Errorf("%s: %s\n%s", f.Status, f.Title, text(t, r))
	}
}

// TestProvenWithoutBudget: what was seen stays seen when requests run out.
func TestProvenWithoutBudget(t *testing.T) {
	t.Parallel()
	addr := stub(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(501) })
	for n := 46; n >= 34; n -= 3 {
		r := examined(t, doctor.Options{URL: addr, Requests: n})
		if r.Find("websocket").Status == doctor.OK || r.Find("upgrade").Status == doctor.OK {
			t.Errorf("%d requests\n%s", n, text(t, r))
		}
		if f := r.Find("websocket"); f.Status == doctor.Failure && r.Exit != 1 {
			t.Errorf("%d requests: %s", n, r.Verdict)
		}
	}
}

// TestBomb: a message is not unpacked further than anybody needs.
func TestBomb(t *testing.T) {
	t.Parallel()
	up := websocket.Upgrader{EnableCompression: true, CheckOrigin: func(*http.Request) bool { return true }}
	r := examined(t, doctor.Options{URL: stub(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		_ = c.SetCompressionLevel(flate.BestSpeed)
		_ = c.WriteMessage(websocket.TextMessage, []byte("0{"+strings.Repeat(" ", 5<<20)))
	})})
	if f := r.Find("compression"); f.Status != doctor.Failure {
		t.Errorf("%s: %s", f.Status, f.Title)
	}
}
