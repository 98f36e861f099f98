package doctor_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/doctor"
)

// stub speaks just enough Engine.IO for polling; WebSockets get what a test
// wants them to get.
func stub(t *testing.T, upgrade http.HandlerFunc) string {
	var (
		mu       sync.Mutex
		sessions = map[string]chan string{}
	)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("transport") == "websocket" {
			upgrade(w, r)
			return
		}
		mu.Lock()
		out, ok := sessions[q.Get("sid")]
		if q.Get("sid") == "" {
			sid := fmt.Sprintf("stub-session-%d", len(sessions))
			sessions[sid] = make(chan string, 9)
			fmt.Fprintf(w, `0{"sid":%q,"upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`, sid)
			mu.Unlock()
			return
		}
		mu.Unlock()
		switch {
		case !ok:
			http.Error(w, `{"code":1,"message":"Session ID unknown"}`, http.StatusBadRequest)
		case r.Method == http.MethodPost:
			b, _ := io.ReadAll(r.Body)
			if strings.HasPrefix(string(b), "40") {
				out <- `40{"sid":"x"}`
			} else if string(b) == "1" {
				out <- "6"
			}
			_, _ = io.WriteString(w, "ok")
		default:
			select {
			case m := <-out:
				_, _ = io.WriteString(w, m)
			case <-r.Context().Done():
			case <-time.After(20 * time.Second):
			}
		}
	}))
	t.Cleanup(s.Close)
	t.Cleanup(s.CloseClientConnections)
	return s.URL
}

// TestUpgradeRefused: each way to refuse a WebSocket is told from the others.
func TestUpgradeRefused(t *testing.T) {
	status := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Error(w, body, code) }
	}
	for _, c := range []struct {
		name    string
		upgrade http.HandlerFunc
		want    string
	}{
		{"code 3", status(400, `{"code":3,"message":"Bad request"}`), "the Upgrade header does not reach the server"},
		{"200", status(200, "hello"), "the Upgrade header does not reach the server"},
		{"426", status(426, ""), "the Upgrade header does not reach the server"},
		{"code 1", status(400, `{"code":1,"message":"Session ID unknown"}`), "WebSocket requests reach another worker than polls"},
		{"403", status(403, "no"), "WebSockets are refused with 403"},
		{"404", status(404, "no"), "WebSocket requests are answered 404"},
		{"501", status(501, "no"), "the proxy answers an upgrade with 501"},
		{"502", status(502, "no"), "the proxy answers an upgrade with 502"},
		{"504", status(504, "no"), "the proxy answers an upgrade with 504"},
		{"redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) }, "WebSocket requests are redirected"},
		{"silence", func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-time.After(20 * time.Second):
			}
		}, "WebSocket requests get no answer"},
		{"cut", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }, "WebSocket requests end without an answer"},
		{"false 101", func(w http.ResponseWriter, r *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: wrong\r\n\r\n")
				c.Close()
			}
		}, "the answer to an upgrade is not a valid one"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, err := doctor.Run(t.Context(), doctor.Options{URL: stub(t, c.upgrade), Quick: true, Timeout: 2 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			f := r.Find("upgrade")
			if f.Status != doctor.Failure || !strings.HasPrefix(f.Title, c.want) || r.Exit != 1 {
				t.Errorf("want %q\n%s", c.want, text(t, r))
			}
			if s := r.Find("sticky"); s.Status != doctor.OK {
				t.Errorf("sticky: %s", s.Title)
			}
		})
	}
}
