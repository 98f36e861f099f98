package deployments

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// A client does what a browser does, from an address of its own: it opens a
// session by polling, joins a namespace, and upgrades to a WebSocket.
type client struct {
	t      *testing.T
	dial   net.Dialer
	http   http.Client
	url    string // http://host:port
	sid    string
	worker string // which answered first
	via    string // which may forward to it
	ws     *websocket.Conn
}

func newClient(t *testing.T, url, from string) *client {
	c := &client{t: t, url: url, dial: net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}}
	// As a browser: several connections, none of them the client's for good.
	c.http = http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DialContext: c.dial.DialContext, DisableKeepAlives: true}}
	return c
}

// request makes one Engine.IO request by polling and returns what it carries.
func (c *client) request(body string) string {
	c.t.Helper()
	method, url := http.MethodGet, c.url+"/socket.io/?EIO=4&transport=polling"
	if c.sid != "" {
		url += "&sid=" + c.sid
	}
	if body != "" {
		method = http.MethodPost
	}
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		c.t.Fatalf("%s %q: %s %s %v", method, body, res.Status, b, err)
	}
	c.same(res)
	return string(b)
}

// same checks that the worker is the one that answered before, by itself.
func (c *client) same(res *http.Response) {
	c.t.Helper()
	w := res.Header.Get("X-Samedoor-Worker")
	if c.worker == "" {
		c.worker = w
	}
	if via := res.Header.Get("X-Samedoor-Via"); w != c.worker || w == "" || via != c.via {
		c.t.Errorf("answered by worker %q via %q, want %q via %q", w, via, c.worker, c.via)
	}
}

// open opens the session.
func (c *client) open() {
	c.t.Helper()
	c.sid = ""
	open := c.request("")
	var hello struct{ Sid string }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(open, "0")), &hello); err != nil || hello.Sid == "" {
		c.t.Fatalf("handshake answered %q", open)
	}
	c.sid = hello.Sid
}

// connect opens a session, joins the namespace / and upgrades. Less than one in
// a hundred probes goes unanswered, since the library reads it before it listens
// for it; a browser would stay with polling, a test starts over.
func (c *client) connect(auth string) {
	c.t.Helper()
	for try := 1; !c.upgrade(auth); try++ {
		c.t.Logf("the probe of a session on worker %s went unanswered", c.worker)
		if try == 3 {
			c.t.Fatal("three probes in a row went unanswered")
		}
	}
	c.send("5")
}

// upgrade tells whether the probe was answered.
func (c *client) upgrade(auth string) bool {
	c.t.Helper()
	c.open()
	if got := c.request("40" + auth); got != "ok" {
		c.t.Fatalf("POST answered %q", got)
	}
	if got := c.request(""); !strings.HasPrefix(got, `40{"sid":`) {
		c.t.Fatalf("joining was answered %q", got)
	}
	d := websocket.Dialer{NetDialContext: c.dial.DialContext, HandshakeTimeout: 5 * time.Second}
	ws, res, err := d.Dial("ws"+strings.TrimPrefix(c.url, "http")+"/socket.io/?EIO=4&transport=websocket&sid="+c.sid, nil)
	if err != nil {
		c.t.Fatalf("upgrade: %v", err)
	}
	c.t.Cleanup(func() { ws.Close() })
	c.same(res)
	c.ws = ws
	c.send("2probe")
	_ = ws.SetReadDeadline(time.Now().Add(2 * time.Second))
	_, b, err := ws.ReadMessage()
	if err == nil && string(b) != "3probe" {
		c.t.Fatalf("the probe was answered %q", b)
	}
	return err == nil
}

func (c *client) send(packet string) {
	c.t.Helper()
	if err := c.ws.WriteMessage(websocket.TextMessage, []byte(packet)); err != nil {
		c.t.Fatalf("send %q: %v", packet, err)
	}
}

// until reads packets up to one that holds every part, and returns it.
func (c *client) until(parts ...string) string {
	c.t.Helper()
	_ = c.ws.SetReadDeadline(time.Now().Add(10 * time.Second))
next:
	for {
		_, b, err := c.ws.ReadMessage()
		if err != nil {
			c.t.Fatalf("waiting for %q: %v", parts, err)
		}
		for _, part := range parts {
			if !strings.Contains(string(b), part) {
				continue next
			}
		}
		return string(b)
	}
}

// emit sends an event, asking for an ack when id is not negative.
func (c *client) emit(id int, event string, args ...any) {
	c.t.Helper()
	b, err := json.Marshal(append([]any{event}, args...))
	if err != nil {
		c.t.Fatal(err)
	}
	if id < 0 {
		c.send("42" + string(b))
		return
	}
	c.send(fmt.Sprintf("42%d%s", id, b))
}
