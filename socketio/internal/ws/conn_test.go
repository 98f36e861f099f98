package ws

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// bytesConn is a connection that brings these bytes and takes any.
type bytesConn struct {
	net.Conn
	r io.Reader
}

func (c *bytesConn) Read(p []byte) (int, error)  { return c.r.Read(p) }
func (c *bytesConn) Write(p []byte) (int, error) { return len(p), nil }

// frame is a client's: masked.
func frame(b0 byte, payload string) string {
	key := [4]byte{1, 2, 3, 4}
	b := AppendHeader(nil, 0, len(payload))
	b[0], b[1] = b0, b[1]|0x80
	b = append(b, key[:]...)
	p := []byte(payload)
	unmask(p, key, 0)
	return string(append(b, p...))
}

func TestNext(t *testing.T) {
	long := strings.Repeat("long ", 40_000)
	for _, c := range []struct {
		name, in string
		op       byte
		want     string
		code     int // of the error
	}{
		{"text", frame(0x81, "hello"), Text, "hello", 0},
		{"empty", frame(0x81, ""), Text, "", 0},
		{"16 bits of length", frame(0x82, long[:3000]), Binary, long[:3000], 0},
		{"64 bits of length", frame(0x82, long), Binary, long, 0},
		{"fragments", frame(0x01, "hel") + frame(0x00, "l") + frame(0x80, "o"), Text, "hello", 0},
		{"a rune across fragments", frame(0x01, "\xe2\x82") + frame(0x80, "\xac"), Text, "€", 0},
		{"ping", frame(0x89, "p"), Ping, "p", 0},
		{"close", frame(0x88, "\x03\xe8bye"), Close, "\x03\xe8bye", 0},
		{"no mask", "\x81\x02hi....", 0, "", CodeProtocol},
		{"reserved bits", frame(0xc1, "x"), 0, "", CodeProtocol},
		{"unknown opcode", frame(0x83, "x"), 0, "", CodeProtocol},
		{"continues nothing", frame(0x80, "x"), 0, "", CodeProtocol},
		{"text within text", frame(0x01, "x") + frame(0x81, "y"), 0, "", CodeProtocol},
		{"fragmented ping", frame(0x09, "x"), 0, "", CodeProtocol},
		{"long ping", frame(0x89, long[:126]), 0, "", CodeProtocol},
		{"too big", frame(0x81, strings.Repeat("x", 300_001)), 0, "", CodeTooBig},
		{"too big in fragments", frame(0x01, long) + frame(0x80, long), 0, "", CodeTooBig},
		{"too big by far, announced only", "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff1234", 0, "", CodeTooBig},
		{"not UTF-8", frame(0x81, "\xff"), 0, "", CodeInvalid},
		{"short close", frame(0x88, "\x03"), 0, "", CodeProtocol},
		{"close that nobody may send", frame(0x88, "\x03\xed"), 0, "", CodeProtocol},
	} {
		for _, r := range []io.Reader{strings.NewReader(c.in), &oneByte{c.in}} {
			conn := newConn(&bytesConn{r: r}, nil, 300_000)
			op, p, err := conn.Next()
			if Violated(err) != c.code || c.code == 0 && (err != nil || op != c.op || string(p) != c.want) {
				t.Errorf("%s: %d %.20q %v", c.name, op, p, err)
			}
		}
	}
	conn := newConn(&bytesConn{r: strings.NewReader(frame(0x01, "a") + frame(0x89, "p") + frame(0x80, "b"))}, nil, 100)
	if op, p, err := conn.Next(); op != Ping || string(p) != "p" || err != nil {
		t.Errorf("ping amid fragments: %d %q %v", op, p, err)
	}
	if op, p, err := conn.Next(); op != Text || string(p) != "ab" || err != nil {
		t.Errorf("fragments around a ping: %d %q %v", op, p, err)
	}
	if _, _, err := conn.Next(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

type oneByte struct{ s string }

func (r *oneByte) Read(p []byte) (int, error) {
	if r.s == "" {
		return 0, io.EOF
	}
	p[0] = r.s[0]
	r.s = r.s[1:]
	return 1, nil
}

func FuzzNext(f *testing.F) {
	f.Add([]byte(frame(0x01, "a") + frame(0x89, "p") + frame(0x80, "b")))
	f.Add([]byte(frame(0x88, "\x03\xe8")))
	f.Add([]byte("\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff1234"))
	f.Fuzz(func(t *testing.T, b []byte) {
		conn := newConn(&bytesConn{r: bytes.NewReader(b)}, nil, 1<<20)
		total := 0
		for {
			_, p, err := conn.Next()
			if err != nil {
				break
			}
			total += len(p)
		}
		if total > len(b) || cap(conn.msg) > 2*len(b)+64<<10 {
			t.Errorf("%d bytes, %d kept, of %d", total, cap(conn.msg), len(b))
		}
	})
}

// serveEcho answers each message with itself, as a client of another make sees it.
func serveEcho(w http.ResponseWriter, r *http.Request) {
	if err := Check(r); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("X-Extra", "a\r\nb")
	c, err := Accept(w, r, 1<<20)
	if err != nil {
		return
	}
	go func() {
		defer c.Close()
		for {
			op, p, err := c.Next()
			if err != nil || op == Close {
				return
			}
			b := AppendFrame(nil, op, p)
			n, ok, err := c.TryWrite(b)
			if err != nil {
				return
			}
			if !ok || n < len(b) {
				if _, err := c.Write(b[n:]); err != nil {
					return
				}
			}
		}
	}()
}

func TestWithAnotherClient(t *testing.T) {
	for name, start := range map[string]func(http.Handler) *httptest.Server{
		"ws": httptest.NewServer, "wss": httptest.NewTLSServer,
	} {
		t.Run(name, func(t *testing.T) {
			srv := start(http.HandlerFunc(serveEcho))
			defer srv.Close()
			d := websocket.Dialer{HandshakeTimeout: 5 * time.Second}
			if tr, ok := srv.Client().Transport.(*http.Transport); ok && tr.TLSClientConfig != nil {
				d.TLSClientConfig = tr.TLSClientConfig
				d.TLSClientConfig.NextProtos = nil
			}
			c, resp, err := d.Dial(strings.Replace(srv.URL, "http", "ws", 1), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if got := resp.Header.Get("X-Extra"); got != "ab" {
				t.Errorf("header %q", got)
			}
			for _, n := range []int{0, 1, 125, 126, 65535, 65536, 1 << 20} {
				want := bytes.Repeat([]byte("x"), n)
				if err := c.WriteMessage(websocket.TextMessage, want); err != nil {
					t.Fatal(err)
				}
				kind, got, err := c.ReadMessage()
				if err != nil || kind != websocket.TextMessage || !bytes.Equal(got, want) {
					t.Fatalf("%d bytes: %d of them, %v", n, len(got), err)
				}
			}
		})
	}
}

func TestCheck(t *testing.T) {
	ok := func() *http.Request {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Connection", "keep-alive, Upgrade")
		r.Header.Set("Upgrade", "websocket")
		r.Header.Set("Sec-WebSocket-Version", "13")
		r.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
		return r
	}
	if err := Check(ok()); err != nil {
		t.Error(err)
	}
	for want, spoil := range map[error]func(*http.Request){
		ErrNotUpgrade: func(r *http.Request) { r.Header.Del("Upgrade") },
		ErrVersion:    func(r *http.Request) { r.Header.Set("Sec-WebSocket-Version", "8") },
		ErrKey:        func(r *http.Request) { r.Header.Set("Sec-WebSocket-Key", "short") },
	} {
		r := ok()
		spoil(r)
		if err := Check(r); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	if got := string(appendAccept(nil, "dGhlIHNhbXBsZSBub25jZQ==")); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" { // RFC 6455, 1.3
		t.Error(got)
	}
}
