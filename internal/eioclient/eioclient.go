// Package eioclient is a small Engine.IO client, for tests and comparisons. It
// opens a connection for every request, from a source address of its own, and so
// is the client that needs a strategy most.
package eioclient

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// A Client is one client machine.
type Client struct {
	Base   string // http://host:port, or https
	Header http.Header
	ctx    context.Context
	http   *http.Client
	ws     *websocket.Dialer
}

// New returns a client of the server at base that connects from an address
// such as 127.0.7.7; empty: any.
func New(base, from string) *Client {
	anyone := &tls.Config{InsecureSkipVerify: true} // who answers is not what is asked
	d := &net.Dialer{Timeout: 5 * time.Second}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	return &Client{
		Base: base, Header: http.Header{}, ctx: context.Background(),
		http: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DialContext: d.DialContext, DisableKeepAlives: true, TLSClientConfig: anyone}},
		ws:   &websocket.Dialer{NetDialContext: d.DialContext, HandshakeTimeout: 5 * time.Second, TLSClientConfig: anyone},
	}
}

// KeepAlive lets requests reuse connections, as browsers do.
func (c *Client) KeepAlive() *Client {
	c.http.Transport.(*http.Transport).DisableKeepAlives = false
	return c
}

// WithContext bounds all that the client does from now on: when ctx is done, its
// requests end, and so do the WebSockets it opens.
func (c *Client) WithContext(ctx context.Context) *Client {
	c.ctx = ctx
	return c
}

// An Answer is what came back.
type Answer struct {
	Status int
	Body   string
	Worker int // slot of the worker that answered, -1 if it does not say
	Via    int // slot of the worker that forwarded, -1 if none did
}

func newAnswer(resp *http.Response) (a Answer, err error) {
	a = Answer{Status: resp.StatusCode, Worker: -1, Via: -1}
	if s := resp.Header.Values("X-Samedoor-Worker"); len(s) == 1 {
		a.Worker, err = strconv.Atoi(s[0])
	} else if len(s) > 1 {
		return a, fmt.Errorf("X-Samedoor-Worker stands there %d times", len(s))
	}
	if s := resp.Header.Get("X-Samedoor-Via"); s != "" {
		a.Via, err = strconv.Atoi(s)
	}
	return a, err
}

// Do sends a request to a path below Base.
func (c *Client) Do(method, path, body string) (Answer, error) {
	var rd io.Reader
	if body != "" {
		rd = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(c.ctx, method, c.Base+path, rd)
	if err != nil {
		return Answer{}, err
	}
	for k, v := range c.Header {
		r.Header[k] = v
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	a, err := newAnswer(resp)
	if err != nil {
		return a, err
	}
	b, err := io.ReadAll(resp.Body)
	a.Body = string(b)
	return a, err
}

const path = "/socket.io/?EIO=4&transport="

// Open begins a session.
func (c *Client) Open() (sid string, a Answer, err error) {
	if a, err = c.Do("GET", path+"polling", ""); err != nil || a.Status != http.StatusOK {
		return "", a, err
	}
	var hello struct{ SID string }
	err = json.Unmarshal([]byte(strings.TrimPrefix(a.Body, "0")), &hello)
	return hello.SID, a, err
}

// Post sends packets.
func (c *Client) Post(sid, packets string) (Answer, error) {
	return c.Do("POST", path+"polling&sid="+url.QueryEscape(sid), packets)
}

// Poll receives packets, and waits for them.
func (c *Client) Poll(sid string) (Answer, error) {
	return c.Do("GET", path+"polling&sid="+url.QueryEscape(sid), "")
}

// Upgrade asks for a WebSocket, for an open session or, with sid "", a new
// one. The connection is nil unless the answer's status is 101.
func (c *Client) Upgrade(sid string) (*websocket.Conn, Answer, error) {
	at := "ws" + strings.TrimPrefix(c.Base, "http") + path + "websocket"
	if sid != "" {
		at += "&sid=" + url.QueryEscape(sid)
	}
	conn, resp, err := c.ws.DialContext(c.ctx, at, c.Header)
	if conn != nil {
		context.AfterFunc(c.ctx, func() { conn.Close() })
	}
	if resp == nil {
		return nil, Answer{}, err
	}
	a, aerr := newAnswer(resp)
	if err == websocket.ErrBadHandshake {
		b, _ := io.ReadAll(resp.Body) // gorilla keeps the first KiB
		a.Body, err = string(b), nil
	}
	if err == nil {
		err = aerr
	}
	return conn, a, err
}

// A Step is one request of a handshake.
type Step struct {
	Name string // open, post, poll, upgrade, probe
	Answer
}

// Handshake is what a browser does when one clicks Connect: open, join "/",
// read the answer, upgrade, probe. It returns the steps up to the first that
// failed; conn is nil then.
func (c *Client) Handshake() (sid string, conn *websocket.Conn, steps []Step, err error) {
	step := func(name string, a Answer, e error) bool {
		steps, err = append(steps, Step{name, a}), e
		return e == nil && a.Status < 300
	}
	sid, a, e := c.Open()
	if !step("open", a, e) {
		return sid, nil, steps, err
	}
	if a, e := c.Post(sid, "40"); !step("post", a, e) {
		return sid, nil, steps, err
	}
	if a, e := c.Poll(sid); !step("poll", a, e) {
		return sid, nil, steps, err
	}
	conn, a, e = c.Upgrade(sid)
	if step("upgrade", a, e); conn == nil {
		return sid, nil, steps, err
	}
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if err = conn.WriteMessage(websocket.TextMessage, []byte("2probe")); err == nil {
		_, b, rerr := conn.ReadMessage()
		if err = rerr; err == nil && string(b) != "3probe" {
			err = fmt.Errorf("answer to the probe: %q", b)
		}
	}
	if err == nil {
		err = conn.WriteMessage(websocket.TextMessage, []byte("5"))
	}
	if err != nil {
		conn.Close()
		return sid, nil, steps, fmt.Errorf("upgrade of %s: %w", sid, err)
	}
	return sid, conn, steps, nil
}

// Ask emits an event of namespace "/" on an upgraded connection and returns the
// first packet that begins with prefix, reading past others.
func Ask(conn *websocket.Conn, packet, prefix string) (string, error) {
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if packet != "" {
		if err := conn.WriteMessage(websocket.TextMessage, []byte(packet)); err != nil {
			return "", err
		}
	}
	for {
		_, b, err := conn.ReadMessage()
		if err != nil {
			return "", err
		}
		if strings.HasPrefix(string(b), prefix) {
			return string(b), nil
		}
	}
}
