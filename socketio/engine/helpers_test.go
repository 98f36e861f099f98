package engine

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// A fixture is a server whose sessions echo.
type fixture struct {
	*Server
	t   *testing.T
	url string

	mu     sync.Mutex
	closed map[string]string // reason by sid
}

func serve(t *testing.T, o Options) *fixture {
	f := &fixture{t: t, closed: map[string]string{}}
	f.Server = New(o, func(s *Session) Handler { return echo{s, f} })
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	t.Cleanup(func() { _ = f.Close() })
	f.url = srv.URL
	return f
}

type echo struct {
	*Session
	f *fixture
}

func (e echo) Message(data []byte, binary bool) {
	switch {
	case string(data) == "panic":
		panic("on purpose")
	case binary:
		_ = e.Send(Binary(data))
	default:
		_ = e.Send(Text(string(data)))
	}
}

func (e echo) Closed(reason string, _ error) {
	e.f.mu.Lock()
	e.f.closed[e.ID()] = reason
	e.f.mu.Unlock()
}

func (f *fixture) reason(sid string) string {
	for range 200 {
		f.mu.Lock()
		r := f.closed[sid]
		f.mu.Unlock()
		if r != "" {
			return r
		}
		time.Sleep(10 * time.Millisecond)
	}
	return "still open"
}

func (f *fixture) do(method, query, body string) (int, string) {
	f.t.Helper()
	req, err := http.NewRequest(method, f.url+"/?"+query, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

func (f *fixture) open() (sid string) {
	f.t.Helper()
	status, body := f.do("GET", "EIO=4&transport=polling", "")
	_, rest, _ := strings.Cut(body, `"sid":"`)
	sid, _, ok := strings.Cut(rest, `"`)
	if status != 200 || !ok {
		f.t.Fatalf("open: %d %q", status, body)
	}
	return sid
}

func (f *fixture) poll(sid string) (int, string) {
	f.t.Helper()
	return f.do("GET", "EIO=4&transport=polling&sid="+sid, "")
}

func (f *fixture) post(sid, body string) (int, string) {
	f.t.Helper()
	return f.do("POST", "EIO=4&transport=polling&sid="+sid, body)
}

func (f *fixture) dial(sid string) *websocket.Conn {
	f.t.Helper()
	q := "/?EIO=4&transport=websocket"
	if sid != "" {
		q += "&sid=" + sid
	}
	c, _, err := websocket.DefaultDialer.Dial(strings.Replace(f.url, "http", "ws", 1)+q, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	f.t.Cleanup(func() { c.Close() })
	return c
}

func (f *fixture) say(c *websocket.Conn, text string) {
	f.t.Helper()
	if err := c.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) hear(c *websocket.Conn, want string) {
	f.t.Helper()
	if _, got, err := c.ReadMessage(); err != nil || string(got) != want {
		f.t.Fatalf("got %.100q %v, want %q", got, err, want)
	}
}

// upgrade brings a session from polling to WebSocket.
func (f *fixture) upgrade(sid string) *websocket.Conn {
	f.t.Helper()
	c := f.dial(sid)
	f.say(c, "2probe")
	f.hear(c, "3probe")
	f.say(c, "5")
	return c
}

// ended waits for the close frame.
func (f *fixture) ended(c *websocket.Conn, code int) {
	f.t.Helper()
	for {
		if _, _, err := c.ReadMessage(); err != nil {
			if !websocket.IsCloseError(err, code) {
				f.t.Errorf("closed with %v, want %d", err, code)
			}
			return
		}
	}
}
