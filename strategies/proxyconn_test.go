package strategies

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// who answers with the address that a server sees, through a listener that
// trusts proxies.
func who(t *testing.T, proxies ...string) (addr string) {
	t.Helper()
	ps, err := ParseProxies(proxies)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.RemoteAddr, body)
	})}
	go s.Serve(ps.Listener(l))
	t.Cleanup(func() { s.Close() })
	return l.Addr().String()
}

// say sends parts, a little apart, and returns status and body of the answer.
func say(t *testing.T, addr string, parts ...string) (int, string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	for _, p := range parts {
		time.Sleep(time.Millisecond)
		if _, err := io.WriteString(c, p); err != nil {
			t.Fatal(err)
		}
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

const post = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody"

func TestProxyListener(t *testing.T) {
	addr := who(t, "127.0.0.1")
	for _, header := range []string{v1TCP4, v2TCP4, v2Tail} {
		if _, got := say(t, addr, header+post); got != "198.51.100.7:4711 body" {
			t.Errorf("%q: %s", header, got)
		}
		if _, got := say(t, addr, strings.Split(header+post, "")...); got != "198.51.100.7:4711 body" {
			t.Errorf("%q, byte by byte: %s", header, got)
		}
	}
	if _, got := say(t, addr, v2TCP6+post); got != "[2001:db8::7]:4711 body" {
		t.Errorf("IPv6: %s", got)
	}
	for _, header := range []string{"", v2Local, v2Unix, "PROXY UNKNOWN\r\n"} {
		if _, got := say(t, addr, header+post); !strings.HasPrefix(got, "127.0.0.1:") || !strings.HasSuffix(got, " body") {
			t.Errorf("%q: %s", header, got)
		}
	}
	if status, got := say(t, addr, "PROXY TCP4 nonsense\r\n"+post); status != 400 {
		t.Errorf("a broken header: %d %s", status, got)
	}
}

// Who is not trusted cannot choose an address: the header is a bad request.
func TestProxyListenerUntrusted(t *testing.T) {
	for _, addr := range []string{who(t, "127.0.0.2"), who(t)} {
		for _, header := range []string{v1TCP4, v2TCP4, v2Local} {
			if status, got := say(t, addr, header+post); status != 400 {
				t.Errorf("%q: %d %s", header, status, got)
			}
		}
	}
}

// A proxy that says nothing holds up nobody else.
func TestProxyListenerSilent(t *testing.T) {
	addr := who(t, "127.0.0.1")
	for range 3 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "PROXY TCP4 19"); err != nil {
			t.Fatal(err)
		}
	}
	// say waits 20 s: less than three times the patience with a proxy.
	if _, got := say(t, addr, v1TCP4+post); got != "198.51.100.7:4711 body" {
		t.Error(got)
	}
}

// Who goes on with the connection beneath must not lose what came with the header.
func TestProxyConnBeneath(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ps, _ := ParseProxies([]string{"127.0.0.1"})
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, v2TCP4+"unread"); err != nil {
		t.Fatal(err)
	}
	got, err := ps.Listener(l).Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	p := got.(*ProxyConn)
	if _, ok := p.NetConn().(*net.TCPConn); !ok {
		t.Errorf("beneath is %T", p.NetConn())
	}
	if rc, err := p.SyscallConn(); err != nil || rc == nil {
		t.Error(err)
	}
	if p.RemoteAddr().String() != "198.51.100.7:4711" || string(p.Unread()) != "unread" {
		t.Errorf("%s, %q", p.RemoteAddr(), p.Unread())
	}
	var b [2]byte
	if n, err := p.Read(b[:]); n != 2 || err != nil || string(p.Unread()) != "read" {
		t.Errorf("%d %v, then %q", n, err, p.Unread())
	}
}
