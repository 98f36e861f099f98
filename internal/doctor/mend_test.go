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
	"github.com/samedoor/samedoor/internal/doctor/doctortest"
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

// TestPageGiven: an address with a path is examined at /socket.io/, which the
// report says; and an endpoint at the path itself is found.
func TestPageGiven(t *testing.T) {
	t.Parallel()
	at := func(path string) string {
		return "http://" + doctortest.Node(t, doctortest.NodeConfig{Kind: "single", Options: map[string]any{"path": path}})
	}
	usual, own := at("/socket.io"), at("/ws")
	for _, c := range []struct{ url, path, title, note string }{
		{usual, "", "answered in", ""},
		{usual + "/", "", "answered in", ""},
		{usual + "/socket.io", "", "answered in", ""},
		{usual + "/some/path?tab=1", "", "answered in", "Examined is /socket.io/: a page's path, here /some/path, is not the endpoint's. --path"},
		{usual + "/some/path", "/socket.io", "answered in", ""},
		{own + "/ws", "", "Engine.IO answers at /ws/, not at /socket.io/", "Examined is /socket.io/: a page's path, here /ws, is"},
		{own + "/a/page", "ws", "answered in", ""},
	} {
		r := examined(t, doctor.Options{URL: c.url, Path: c.path})
		f := r.Find("reachable")
		if notes := strings.Join(f.Notes, "\n"); !strings.Contains(f.Title, c.title) || !strings.Contains(notes, c.note) || c.note == "" && notes != "" {
			t.Errorf("%s --path %q: %q\n%s", c.url, c.path, f.Notes, text(t, r))
		}
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
