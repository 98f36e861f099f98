package worker

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/engines"
	"github.com/samedoor/samedoor/internal/forward"
)

// A witness is an engine that notes what it is asked.
type witness struct {
	engines.Engine
	mu   sync.Mutex
	seen []string // client's host:port, then headers that only workers may send
}

func (e *witness) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	e.seen = append(e.seen, r.RemoteAddr+fmt.Sprint(r.Header["X-Samedoor-Via"], r.Header["X-Samedoor-Client"], r.Header["X-Samedoor-Secret"], r.Header["X-Samedoor-Front"]))
	e.mu.Unlock()
	e.Engine.ServeHTTP(rw, r)
}

func (e *witness) last() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.seen[len(e.seen)-1]
}

// two starts a door, slot 1, and an owner, slot 0, of a session.
func two(t *testing.T, door ...func(*node)) (r *run, d, o *node, seen *witness, sid string) {
	r = newRun(t)
	seen = &witness{}
	o = r.start(0, func(n *node) {
		seen.Engine = n.engine
		n.engine = seen
	})
	d = r.start(1, door...)
	return r, d, o, seen, open(t, o.url)
}

// ways are the two of forwarding; whoever asks must not notice which it is.
func ways(t *testing.T, f func(t *testing.T, handsOver bool)) {
	t.Run("handed over", func(t *testing.T) { f(t, true) })
	t.Run("by proxy", func(t *testing.T) { f(t, false) })
}

// byProxy leaves a door no other way: its connections are such as cannot be
// handed over.
func byProxy(n *node) {
	n.listener = wrapping{n.listener, func(c net.Conn) net.Conn { return struct{ *net.TCPConn }{c.(*net.TCPConn)} }}
}

// doorThat is byProxy unless connections are to be handed over.
func doorThat(handsOver bool) func(*node) {
	if handsOver {
		return func(*node) {}
	}
	return byProxy
}

// TestForwardedRequests: whatever a request looks like, the owner gets it whole.
func TestForwardedRequests(t *testing.T) {
	ways(t, func(t *testing.T, handsOver bool) {
		_, door, owner, _, sid := two(t, doorThat(handsOver))
		echo := func(text string) string { return `42/ws,1["echo","` + text + `"]` }
		for _, tt := range []struct {
			name string
			send []string // written one after the other
			want []string // bodies of the answers
		}{
			{"a POST", []string{post(sid, "3")}, []string{"ok"}},
			{"a POST and the poll that it answers", []string{post(sid, echo("a")) + get(sid)}, []string{"ok", `43/ws,1["a"]`}},
			{"a body in pieces", []string{post(sid, echo("pieces"))[:30], post(sid, echo("pieces"))[30:130], post(sid, echo("pieces"))[130:], get(sid)}, []string{"ok", `43/ws,1["pieces"]`}},
			{"a body that comes late", []string{strings.TrimSuffix(post(sid, "3"), "3"), "3"}, []string{"ok"}},
			{"chunks", []string{request("POST", sid, "1\r\n4\r\n", []string{"Transfer-Encoding: chunked", "Trailer: X"}), "17\r\n2/ws,1[\"echo\",\"chunks\"]\r\n", "0\r\nX: y\r\n\r\n" + get(sid)}, []string{"ok", `43/ws,1["chunks"]`}},
			{"an absolute URI", []string{strings.Replace(post(sid, "3"), " /", " http://elsewhere.test/", 1)}, []string{"ok"}},
			{"a long head", []string{post(sid, "3", "Cookie: "+strings.Repeat("c", 30_000))}, []string{"ok"}},
			{"many headers", []string{post(sid, "3", strings.Split(strings.Repeat("X: y\n", 2000)+"X: z", "\n")...)}, []string{"ok"}},
			{"five at once", []string{strings.Repeat(post(sid, "3"), 5)}, []string{"ok", "ok", "ok", "ok", "ok"}},
			{"two hundred at once", []string{strings.Repeat(post(sid, "3"), 200)}, strings.Split(strings.Repeat("ok ", 199)+"ok", " ")},
			{"HTTP/1.0", []string{strings.Replace(post(sid, "3", "Connection: keep-alive"), "HTTP/1.1", "HTTP/1.0", 1)}, []string{"ok"}},
			{"the last", []string{post(sid, "3", "Connection: close")}, []string{"ok"}},
		} {
			t.Run(tt.name, func(t *testing.T) {
				l := dial(t, door.url)
				defer l.Close()
				before := door.forward.Forwarded()
				for _, s := range tt.send {
					l.write(t, s)
				}
				for i, want := range tt.want {
					a := l.read(t)
					if a.body != want {
						t.Fatalf("answer %d: %d %s, want %s", i, a.status, a.body, want)
					}
					via := ""
					if i == 0 || !handsOver {
						via = "1"
					}
					if a.header.Get(forward.WorkerHeader) != "0" || a.header.Get(forward.ViaHeader) != via {
						t.Errorf("answer %d comes from %q via %q", i, a.header.Get(forward.WorkerHeader), a.header.Get(forward.ViaHeader))
					}
					if last := tt.name == "the last"; last != a.close {
						t.Errorf("answer %d closes the connection: %v", i, a.close)
					}
				}
				if tt.name == "the last" {
					_ = l.SetReadDeadline(time.Now().Add(10 * time.Second))
					if _, err := l.next(); !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
						t.Errorf("the connection is not closed: %v", err)
					}
				}
				want := int64(len(tt.want))
				if handsOver {
					want = 1
				}
				if n := door.forward.Forwarded() - before; n != want {
					t.Errorf("forwarded %d, want %d", n, want)
				}
			})
		}
		t.Run("Expect", func(t *testing.T) {
			l := dial(t, door.url)
			l.write(t, strings.TrimSuffix(post(sid, "3", "Expect: 100-continue"), "3"))
			for _, want := range []int{http.StatusContinue, http.StatusOK} {
				if a := l.read(t); a.status != want {
					t.Fatalf("%d, want %d", a.status, want)
				}
				l.write(t, map[int]string{http.StatusContinue: "3"}[want])
			}
		})
		t.Run("trace", func(t *testing.T) {
			door, owner := door.record.Of(sid, 0), owner.record.Of(sid, 0)
			if len(door) != 0 {
				t.Errorf("the door recorded %d requests that the owner answered", len(door))
			}
			via := 0
			for _, e := range owner {
				if e.Via != nil && *e.Via == 1 {
					via++
				}
			}
			if want := map[bool]int{true: 13, false: 219}[handsOver]; via != want {
				t.Errorf("%d of %d requests are recorded as forwarded, want %d", via, len(owner), want)
			}
		})
	})
}

// TestForwardedClients: the owner learns whose request it is, and nobody can
// make himself another, or a worker.
func TestForwardedClients(t *testing.T) {
	ways(t, func(t *testing.T, handsOver bool) {
		_, door, _, seen, sid := two(t, doorThat(handsOver))
		lie := []string{"X-Samedoor-Via: 3", "X-Samedoor-Client: 198.51.100.1:1", "X-Samedoor-Secret: x", "X-Forwarded-For: 198.51.100.2"}
		l := dial(t, door.url)
		for i := range 3 {
			l.write(t, post(sid, "3", lie...))
			if a := l.read(t); a.status != 200 || len(a.header.Values(forward.ViaHeader)) > 1 || a.header.Get(forward.ViaHeader) == "3" {
				t.Errorf("%d %v", a.status, a.header)
			}
			want := l.LocalAddr().String() + "[]"
			if !handsOver || i == 0 {
				want = l.LocalAddr().String()
			}
			if got := seen.last(); !strings.HasPrefix(got, want) || strings.Contains(got, "198.51.100") || strings.Contains(got, " x") {
				t.Errorf("request %d comes from %s, want %s", i, got, want)
			}
		}

		// Our own proxy sends other clients' requests down the same connection.
		l = dial(t, door.url)
		for _, client := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"} {
			l.write(t, post(sid, "3", "X-Samedoor-Front: "+frontSecret, "X-Forwarded-For: "+client))
			if a := l.read(t); a.status != 200 {
				t.Errorf("%d %s", a.status, a.body)
			}
			if got := seen.last(); !strings.HasPrefix(got, client+":0") || strings.Contains(got, frontSecret) {
				t.Errorf("request of %s comes from %s", client, got)
			}
		}
	})
}

// A renamed connection is one whose proxy told the client's address in a
// header of its own, and has read ahead.
type renamed struct {
	net.Conn
	unread []byte
}

func (c *renamed) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(203, 0, 113, 7), Port: 7} }
func (c *renamed) NetConn() net.Conn    { return c.Conn }
func (c *renamed) Unread() []byte       { return c.unread }
func (c *renamed) Read(p []byte) (int, error) {
	if len(c.unread) == 0 {
		buf := make([]byte, 64<<10)
		n, err := c.Conn.Read(buf)
		if c.unread = buf[:n]; err != nil {
			return 0, err
		}
	}
	n := copy(p, c.unread[:min(len(c.unread), 100)]) // little by little: most stays here
	c.unread = c.unread[n:]
	return n, nil
}

type wrapping struct {
	net.Listener
	wrap func(net.Conn) net.Conn
}

func (l wrapping) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.wrap(c), nil
}

// TestForwardedWrappers: a connection within another is handed over if the inner
// one can be reached, with what was read ahead; else its requests are proxied.
func TestForwardedWrappers(t *testing.T) {
	_, door, _, seen, sid := two(t, func(n *node) {
		n.listener = wrapping{n.listener, func(c net.Conn) net.Conn { return &renamed{Conn: c} }}
	})
	l := dial(t, door.url)
	l.write(t, strings.Repeat(post(sid, "3"), 20))
	for i := range 20 {
		if a := l.read(t); a.status != 200 || (a.header.Get(forward.ViaHeader) == "1") != (i == 0) {
			t.Fatalf("answer %d: %d %v", i, a.status, a.header)
		}
		if got := seen.last(); !strings.HasPrefix(got, "203.0.113.7:7[") {
			t.Errorf("request %d comes from %s", i, got)
		}
	}

	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"TLS":    func(c net.Conn) net.Conn { return tls.Server(c, serverTLS(t)) },
		"opaque": func(c net.Conn) net.Conn { return struct{ net.Conn }{c} },
	} {
		t.Run(name, func(t *testing.T) {
			_, door, _, seen, sid := two(t, func(n *node) { n.listener = wrapping{n.listener, wrap} })
			l := dial(t, door.url)
			if name == "TLS" {
				l = secure(l)
			}
			for i := range 3 {
				l.write(t, post(sid, "3"))
				if a := l.read(t); a.status != 200 || a.header.Get(forward.ViaHeader) != "1" {
					t.Fatalf("answer %d: %d %v", i, a.status, a.header)
				}
				if got := seen.last(); !strings.HasPrefix(got, l.LocalAddr().String()) {
					t.Errorf("request %d comes from %s", i, got)
				}
			}
		})
	}
}

// TestForwardedProxies: a trusted proxy's connection is handed over like any
// other, with whom the proxy has told of, and what came with its word.
func TestForwardedProxies(t *testing.T) {
	r := newRun(t)
	r.boot.TrustProxies = []string{"127.0.0.0/8"}
	seen := &witness{}
	owner := r.start(0, func(n *node) {
		seen.Engine = n.engine
		n.engine = seen
	})
	door := r.start(1)
	sid := open(t, owner.url)
	for name, tt := range map[string]struct{ header, line, want string }{
		"PROXY protocol":  {"PROXY TCP4 198.51.100.7 127.0.0.1 4711 80\r\n", "X: y", "198.51.100.7:4711["},
		"X-Forwarded-For": {"", "X-Forwarded-For: 198.51.100.8", "198.51.100.8:0["},
	} {
		t.Run(name, func(t *testing.T) {
			l := dial(t, door.url)
			l.write(t, tt.header+strings.Repeat(post(sid, "3", tt.line), 20))
			for i := range 20 {
				if a := l.read(t); a.status != 200 || (a.header.Get(forward.ViaHeader) == "1") != (i == 0) {
					t.Fatalf("answer %d: %d %v", i, a.status, a.header)
				}
				if got := seen.last(); !strings.HasPrefix(got, tt.want) {
					t.Errorf("request %d comes from %s, want %s", i, got, tt.want)
				}
			}
		})
	}
}

func serverTLS(t *testing.T) *tls.Config {
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	t.Cleanup(s.Close)
	return &tls.Config{Certificates: s.TLS.Certificates}
}

// TestForwardedOnce: a sid that names a slot which does not hold it is refused
// there, in the protocol's own words.
func TestForwardedOnce(t *testing.T) {
	ways(t, func(t *testing.T, handsOver bool) {
		_, door, owner, _, sid := two(t, doorThat(handsOver))
		l := dial(t, door.url)
		for _, wrong := range []string{"0.nobody", "00.nobody", "1.nobody", "7.nobody", "0.nobody"} {
			l.write(t, get(wrong))
			if a := l.read(t); a.status != 400 || a.body != unknownSession {
				t.Errorf("%s: %d %s", wrong, a.status, a.body)
			}
		}
		l.write(t, post(sid, "3")) // the connection is as good as before
		if a := l.read(t); a.status != 200 {
			t.Errorf("%d %s", a.status, a.body)
		}
		es := append(owner.record.Of("0.nobody", 0), door.record.Of("0.nobody", 0)...)
		if len(es) != 2 || es[0].Status != 400 || es[0].Slot != 0 || es[0].Owner == nil || *es[0].Owner != 0 || es[0].Error == nil || *es[0].Error != "Session ID unknown" {
			t.Errorf("%+v", es)
		}
		if es[0].Via == nil || *es[0].Via != 1 {
			t.Errorf("via is not told: %+v", es[0])
		}
	})
}

const unknownSession = `{"code":1,"message":"Session ID unknown"}`
