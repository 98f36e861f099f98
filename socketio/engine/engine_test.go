package engine

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

var quick = Options{PingInterval: 100 * time.Millisecond, PingTimeout: 100 * time.Millisecond}

func TestHandshake(t *testing.T) {
	f := serve(t, Options{})
	want := regexp.MustCompile(`^0{"sid":"[\w-]{20}","upgrades":\["websocket"\],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}$`)
	if _, body := f.do("GET", "EIO=4&transport=polling", ""); !want.MatchString(body) {
		t.Errorf("polling: %s", body)
	}
	_, m, err := f.dial("").ReadMessage()
	if err != nil || !strings.Contains(string(m), `"upgrades":[],`) {
		t.Errorf("websocket: %s %v", m, err)
	}
	if n := f.Len(); n != 2 {
		t.Errorf("%d sessions", n)
	}
}

func TestRefusals(t *testing.T) {
	var mu sync.Mutex
	var told []string
	f := serve(t, Options{
		AllowRequest: func(r *http.Request) error {
			if r.URL.Query().Has("evil") {
				return errors.New("go away")
			}
			return nil
		},
		ConnectionError: func(e *ConnectionError) {
			mu.Lock()
			told = append(told, e.Context)
			mu.Unlock()
		},
	})
	sid := f.open()
	up := f.open()
	f.upgrade(up)
	var contexts []string
	for _, c := range []struct {
		method, query string
		status, code  int
		context       string
	}{
		{"GET", "EIO=4", 400, 0, "UNKNOWN_TRANSPORT"},
		{"GET", "EIO=4&transport=pigeon", 400, 0, "UNKNOWN_TRANSPORT"},
		{"GET", "EIO=4&transport=polling&sid=none", 400, 1, "UNKNOWN_SID"},
		{"POST", "EIO=4&transport=polling", 400, 2, "BAD_HANDSHAKE_METHOD"},
		{"GET", "EIO=4&transport=websocket", 400, 3, "TRANSPORT_HANDSHAKE_ERROR"},
		{"GET", "EIO=4&transport=polling&evil", 403, 4, "FORBIDDEN"},
		{"GET", "EIO=3&transport=polling", 400, 5, "UNSUPPORTED_PROTOCOL_VERSION"},
		{"GET", "transport=polling", 400, 5, "UNSUPPORTED_PROTOCOL_VERSION"},
		{"GET", "EIO=3&transport=polling&sid=" + sid, 400, 3, "PROTOCOL_MISMATCH"},
		{"PUT", "EIO=4&transport=polling&sid=" + sid, 400, 3, "BAD_METHOD"},
		{"GET", "EIO=4&transport=polling&sid=" + up, 400, 3, "TRANSPORT_MISMATCH"},
	} {
		status, body := f.do(c.method, c.query, "")
		if status != c.status || !strings.HasPrefix(body, fmt.Sprintf(`{"code":%d,"message":"`, c.code)) {
			t.Errorf("%s %s: %d %s", c.method, c.query, status, body)
		}
		contexts = append(contexts, c.context)
	}
	if !slices.Equal(told, contexts) {
		t.Errorf("told %q, want %q", told, contexts)
	}
}

func TestPolling(t *testing.T) {
	f := serve(t, Options{})
	sid := f.open()
	for _, m := range []string{"4hello", "4a\x1e4b\x1e4c", "4hello\x1ebAQIDBA==", "4", "b"} {
		if status, body := f.post(sid, m); status != 200 || body != "ok" {
			t.Fatalf("post %q: %d %q", m, status, body)
		}
		if status, body := f.poll(sid); status != 200 || body != m {
			t.Errorf("poll: %d %q, want %q", status, body, m)
		}
	}
	if _, body := f.post(sid, "4panic\x1e4after"); body != "ok" {
		t.Errorf("a handler's panic: %q", body)
	}
	if _, body := f.poll(sid); body != "4after" {
		t.Errorf("after a panic: %q", body)
	}
}

func TestInvalidPackets(t *testing.T) {
	f := serve(t, Options{})
	for _, m := range []string{"abc", "", "4ok\x1e", "7", "b!", "4\xff", "2"} {
		sid := f.open()
		status, _ := f.post(sid, m)
		if after, _ := f.poll(sid); after != 400 || status != 400 && m != "2" {
			t.Errorf("post %q: %d, then %d", m, status, after)
		}
		if m == "" { // an empty frame is no packet either
			continue
		}
		c := f.dial("")
		_, _, _ = c.ReadMessage()
		f.say(c, m)
		code := websocket.CloseProtocolError
		if m == "4\xff" {
			code = websocket.CloseInvalidFramePayloadData
		}
		if m != "4ok\x1e" && m != "b!" || m == "b!" { // a separator means nothing there
			f.ended(c, code)
		}
	}
}

func TestOctetStreamAndSize(t *testing.T) {
	f := serve(t, Options{MaxPayload: 1000})
	sid := f.open()
	if status, _ := f.post(sid, "4"+strings.Repeat("x", 1000)); status != 413 {
		t.Errorf("too large a post: %d", status)
	}
	if status, body := f.post(sid, "4"+strings.Repeat("x", 999)); status != 200 {
		t.Errorf("after it: %d %s", status, body)
	}
	resp, err := http.Post(f.url+"/?EIO=4&transport=polling&sid="+sid, "application/octet-stream", strings.NewReader("4x"))
	if err != nil || resp.StatusCode != 400 {
		t.Errorf("octet-stream: %v %v", resp, err)
	}
	if r := f.reason(sid); r != ReasonTransportError {
		t.Error(r)
	}
	c := f.dial("")
	_, _, _ = c.ReadMessage()
	f.say(c, "4"+strings.Repeat("x", 1000))
	f.ended(c, websocket.CloseMessageTooBig)
}

func TestOverlap(t *testing.T) {
	f := serve(t, Options{})
	sid := f.open()
	first := make(chan string)
	go func() { _, body := f.poll(sid); first <- body }()
	s, _ := f.Session(sid)
	for !s.Writable() {
		time.Sleep(time.Millisecond)
	}
	if status, _ := f.poll(sid); status != 400 {
		t.Errorf("second poll: %d", status)
	}
	if body := <-first; body != "1" {
		t.Errorf("first poll: %q", body)
	}
	if status, body := f.poll(sid); status != 400 || !strings.Contains(body, `"code":1`) {
		t.Errorf("third poll: %d %s", status, body)
	}
}

func TestHeartbeat(t *testing.T) {
	f := serve(t, quick)
	sid := f.open()
	c := f.dial("")
	_, _, _ = c.ReadMessage()
	for range 3 {
		if _, body := f.poll(sid); body != "2" {
			t.Errorf("poll: %q", body)
		}
		f.post(sid, "3")
		f.hear(c, "2")
		f.say(c, "3")
	}
	f.hear(c, "2") // and no answer
	f.ended(c, websocket.CloseNormalClosure)
	if r := f.reason(sid); r != ReasonPingTimeout {
		t.Error(r)
	}
	if status, _ := f.poll(sid); status != 400 {
		t.Errorf("poll after the timeout: %d", status)
	}
}

func TestClose(t *testing.T) {
	f := serve(t, Options{})
	t.Run("by the client, polling", func(t *testing.T) {
		for _, pending := range []bool{true, false} {
			sid := f.open()
			s, _ := f.Session(sid)
			got := make(chan string, 1)
			poll := func() { _, body := f.poll(sid); got <- body }
			if pending {
				go poll()
				for !s.Writable() {
					time.Sleep(time.Millisecond)
				}
			}
			f.post(sid, "1")
			if !pending {
				poll() // it was on its way
			}
			if body := <-got; body != "6" {
				t.Errorf("poll: %q", body)
			}
			if status, _ := f.poll(sid); status != 400 || f.reason(sid) != ReasonTransportClose {
				t.Errorf("%d %s", status, f.reason(sid))
			}
		}
	})
	t.Run("by the client, websocket", func(t *testing.T) {
		for _, how := range []string{"packet", "frame", "cut"} {
			sid := f.open()
			c := f.upgrade(sid)
			switch how {
			case "packet":
				f.say(c, "1")
			case "frame":
				_ = c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""))
				f.ended(c, 1000)
			case "cut":
				c.Close()
			}
			if r := f.reason(sid); r != ReasonTransportClose {
				t.Errorf("%s: %s", how, r)
			}
		}
	})
	t.Run("by the server", func(t *testing.T) {
		sid := f.open()
		s, _ := f.Session(sid)
		_ = s.Send(Text("last"))
		s.Close()
		if err := s.Send(Text("later")); err != ErrClosed {
			t.Error(err)
		}
		if _, body := f.poll(sid); body != "4last\x1e1" {
			t.Errorf("poll: %q", body)
		}
		sid = f.open()
		c := f.upgrade(sid)
		f.say(c, "4x")
		f.hear(c, "4x")
		s, _ = f.Session(sid)
		_ = s.Send(Text("last"))
		s.Close()
		f.hear(c, "4last")
		f.ended(c, websocket.CloseNormalClosure)
	})
}

func TestSlowReader(t *testing.T) {
	f := serve(t, Options{MaxQueue: 1 << 20})
	slow := f.dial("")
	_, m, _ := slow.ReadMessage()
	_, rest, _ := strings.Cut(string(m), `"sid":"`)
	sid, _, _ := strings.Cut(rest, `"`)
	s, _ := f.Session(sid)
	p := Text(strings.Repeat("x", 100_000))
	var err error
	for i := 0; err == nil && i < 1000; i++ {
		began := time.Now()
		err = s.Send(p)
		if d := time.Since(began); d > time.Second {
			t.Fatalf("Send took %v", d)
		}
	}
	if err != ErrOverflow || f.reason(sid) != ReasonOverflow {
		t.Errorf("%v, %s", err, f.reason(sid))
	}
}

// A client may make its session end before the program has its handler: that
// hears the true reason all the same.
func TestEndsBeforeAccepted(t *testing.T) {
	heard := make(chan string, 1)
	f := New(Options{}, func(s *Session) Handler {
		s.CloseWith(ReasonOverflow, ErrOverflow)
		return lastWords(heard)
	})
	defer f.Close()
	srv := httptest.NewServer(f)
	defer srv.Close()
	if resp, err := http.Get(srv.URL + "/?EIO=4&transport=polling"); err == nil {
		resp.Body.Close()
	}
	if got := <-heard; got != ReasonOverflow+" "+ErrOverflow.Error() {
		t.Error(got)
	}
}

type lastWords chan string

func (lastWords) Message([]byte, bool)              {}
func (c lastWords) Closed(reason string, err error) { c <- fmt.Sprint(reason, " ", err) }

func TestHooksAndTrace(t *testing.T) {
	var mu sync.Mutex
	var steps []string
	n := 0
	f := serve(t, Options{
		GenerateID:     func(*http.Request) string { n++; return fmt.Sprintf("2.id%d", n) },
		InitialHeaders: func(h http.Header, _ *http.Request, sid string) { h.Set("X-Initial", sid) },
		Headers:        func(h http.Header, _ *http.Request, sid string) { h.Set("X-Each", sid) },
		Trace: func(*http.Request) func(Outcome) {
			return func(o Outcome) {
				mu.Lock()
				defer mu.Unlock()
				steps = append(steps, fmt.Sprintf("%s %s %s %d %t %d", o.Step, o.Transport, o.SID, o.Status, o.Sent > 0, o.Received))
			}
		},
	})
	resp, err := http.Get(f.url + "/?EIO=4&transport=polling")
	if err != nil || resp.Header.Get("X-Initial") != "2.id1" || resp.Header.Get("X-Each") != "2.id1" {
		t.Fatal(resp, err)
	}
	f.post("2.id1", "4hello")
	f.poll("2.id1")
	c := f.upgrade("2.id1")
	f.say(c, "4x")
	f.hear(c, "4x")
	c.Close()
	f.reason("2.id1")
	f.poll("2.id1")
	time.Sleep(20 * time.Millisecond)
	mu.Lock()
	defer mu.Unlock()
	slices.SortFunc(steps[len(steps)-2:], strings.Compare) // the last two race
	want := []string{
		"open polling 2.id1 200 true 0", "post polling 2.id1 200 true 6", "poll polling 2.id1 200 true 0",
		"upgrade websocket 2.id1 101 false 0", "close websocket 2.id1 101 true 27", "poll polling 2.id1 400 true 0",
	}
	if !slices.Equal(steps, want) {
		t.Errorf("%q", steps)
	}
}

func TestShutdown(t *testing.T) {
	f := serve(t, Options{})
	sid := f.open()
	c := f.upgrade(sid)
	f.say(c, "4x")
	f.hear(c, "4x")
	gone := make(chan error, 1)
	go func() { _, _, err := c.ReadMessage(); gone <- err }()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := f.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if err := <-gone; !websocket.IsCloseError(err, websocket.CloseGoingAway) || f.reason(sid) != ReasonShutdown {
		t.Error(err, f.reason(sid))
	}
	if status, _ := f.do("GET", "EIO=4&transport=polling", ""); status != 403 {
		t.Errorf("a new session after Shutdown: %d", status)
	}
}

// Over TLS nothing can be written without waiting, so another goroutine writes.
func TestOverTLS(t *testing.T) {
	f := &fixture{t: t, closed: map[string]string{}}
	f.Server = New(Options{}, func(s *Session) Handler { return echo{s, f} })
	srv := httptest.NewTLSServer(f)
	defer srv.Close()
	d := websocket.Dialer{TLSClientConfig: srv.Client().Transport.(*http.Transport).TLSClientConfig.Clone()}
	d.TLSClientConfig.NextProtos = nil
	c, _, err := d.Dial(strings.Replace(srv.URL, "http", "ws", 1)+"/?EIO=4&transport=websocket", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _, _ = c.ReadMessage()
	for i := range 200 {
		f.say(c, fmt.Sprint("4", i))
	}
	for i := range 200 {
		f.hear(c, fmt.Sprint("4", i))
	}
	_ = f.Close()
	f.ended(c, websocket.CloseGoingAway)
}

func TestDuplicateIDIsRefused(t *testing.T) {
	f := serve(t, Options{GenerateID: func(*http.Request) string { return "same" }})
	f.open()
	if status, body := f.do("GET", "EIO=4&transport=polling", ""); status != 400 || !strings.Contains(body, `"code":3`) {
		t.Errorf("%d %s", status, body)
	}
}

func FuzzPayload(f *testing.F) {
	for _, s := range []string{"4hello", "4a\x1e4b", "bAQIDBA==", "2probe", "\x1e", "b\x1e"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var again []Packet
		err := eachPacket(b, func(p received) bool {
			if p.typ != typeMessage {
				again = append(again, control(p.typ, string(p.data)))
			} else if p.binary {
				again = append(again, Binary(p.data))
			} else {
				again = append(again, Text(string(p.data)))
			}
			return true
		})
		if err != nil || strings.ContainsAny(string(b), "\r\n") { // base64 ignores them
			return
		}
		if got := appendPayload(nil, again); string(got) != string(b) && !strings.Contains(string(b), "b") {
			t.Errorf("%q became %q", b, got)
		}
	})
}
