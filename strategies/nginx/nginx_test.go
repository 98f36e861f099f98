package nginx

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/samedoor/samedoor/strategies"
)

// ip_hash looks at the first three octets, so clients get addresses that differ there.
func client(i int) string { return fmt.Sprintf("127.0.%d.1", i) }

func TestSticky(t *testing.T) {
	for _, method := range []string{"ip_hash", "hash", "sid"} {
		t.Run(method, func(t *testing.T) {
			c := newCluster(t, 4, method)
			used := map[int]int{}
			for i := range 40 {
				slot := c.slotOf(client(i), "/")
				used[slot]++
				for range 3 {
					if got := c.slotOf(client(i), "/"); got != slot {
						t.Fatalf("%s: slot %d, then %d", client(i), slot, got)
					}
				}
			}
			if len(used) != 4 {
				t.Errorf("40 clients use the slots %v", used)
			}
			t.Logf("40 clients: %v", used)
		})
	}
}

func TestSid(t *testing.T) {
	c := newCluster(t, 3, "sid")
	hashed := c.slotOf(client(9), "/")
	for query, want := range map[string]int{
		"sid=0.Xy": 0, "sid=1.Xy": 1, "EIO=4&sid=2.Xy&transport=polling": 2, "sid=2-hostA.Xy": 2,
		"": hashed, "sid=": hashed, "sid=7.Xy": hashed, "sid=20.Xy": hashed, "sid=Xy2.": hashed, "sid=-1.Xy": hashed, "xsid=1.Xy": hashed,
	} {
		if got := c.slotOf(client(9), "/socket.io/?"+query); got != want {
			t.Errorf("%q: slot %d, want %d", query, got, want)
		}
	}
}

func TestHeaders(t *testing.T) {
	c := newCluster(t, 2, "")
	_, text, err := c.get(client(3), "/", nil,
		"X-Forwarded-For", "192.0.2.1", strategies.FrontHeader, "guess", "Forwarded", "for=192.0.2.1")
	want := fmt.Sprintf(`0 bytes host=%s xff=["192.0.2.1, 127.0.3.1"] front=["s3cret"] forwarded=[]`, c.public)
	if err != nil || text != want {
		t.Errorf("the worker was told\n%s (%v), want\n%s", text, err, want)
	}
	fi, err := os.Stat(confFile(c.cfg.Dir))
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("configuration with the secret: mode %v, %v", fi.Mode(), err)
	}
}

func TestBody(t *testing.T) {
	c := newCluster(t, 2, "")
	for size, want := range map[int]string{1_500_000: "<nil>", 2_500_000: "413 Request Entity Too Large"} {
		_, text, err := c.get(client(3), "/", bytes.NewReader(make([]byte, size)))
		if fmt.Sprint(err) != want {
			t.Errorf("%d bytes: %v, want %s", size, err, want)
		}
		if err == nil && !strings.HasPrefix(text, fmt.Sprint(size)) {
			t.Errorf("%d bytes sent, the worker got %s", size, text)
		}
	}
}

// upgrade opens a WebSocket, as far as proxies can tell.
func (c *cluster) upgrade(from string) (say func(string) error, slot string) {
	c.t.Helper()
	conn, err := c.dial(from)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "GET /socket.io/ HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\r\n")
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if res.StatusCode != 101 || res.Header.Get("Upgrade") != "websocket" || res.Header.Get("Connection") != "upgrade" {
		c.t.Fatalf("upgrade answered %s %v", res.Status, res.Header)
	}
	return func(text string) error {
		fmt.Fprintln(conn, text)
		if got, err := r.ReadString('\n'); err != nil || got != text+"\n" {
			return fmt.Errorf("said %q, heard %q: %w", text, got, err)
		}
		return nil
	}, res.Header.Get("X-Samedoor-Worker")
}

func TestWebSocket(t *testing.T) {
	c := newCluster(t, 4, "")
	for i := range 8 {
		say, slot := c.upgrade(client(i))
		if want := fmt.Sprint(c.slotOf(client(i), "/")); slot != want {
			t.Errorf("upgrade reached slot %s, requests %s", slot, want)
		}
		if err := say("hello"); err != nil {
			t.Error(err)
		}
	}
}

func TestGivenUp(t *testing.T) {
	for _, method := range []string{"ip_hash", "hash", "sid"} {
		t.Run(method, func(t *testing.T) {
			c := newCluster(t, 4, method)
			before := map[int]int{}
			for i := range 40 {
				before[i] = c.slotOf(client(i), "/")
			}
			stay := 0
			for before[stay] == 2 {
				stay++
			}
			say, _ := c.upgrade(client(stay))
			pid := c.nginxPid()

			c.servers[2].Close()
			c.setLive(0, 1, 3)
			for i, slot := range before {
				// What nginx sends to slot 2 before it knows is answered, too.
				got, _, err := c.get(client(i), "/", nil)
				if err != nil {
					t.Errorf("%s, of slot %d: %v", client(i), slot, err)
				}
				if slot == 2 && got == 2 || slot != 2 && got != slot {
					t.Errorf("a client of slot %d goes to %d", slot, got)
				}
			}
			if method == "sid" {
				until(t, "another slot to get its sids", func() bool {
					got, _, err := c.get(client(1), "/?sid=2.Xy", nil)
					return err == nil && got != 2
				})
			}
			if err := say("still here"); err != nil {
				t.Errorf("a WebSocket to another slot was cut: %v", err)
			}
			if c.nginxPid() != pid {
				t.Error("nginx was restarted, not reloaded")
			}
		})
	}
}

func TestGrow(t *testing.T) {
	c := newCluster(t, 2, "hash")
	before := map[int]int{}
	for i := range 60 {
		before[i] = c.slotOf(client(i), "/")
	}
	c.sockets(3)
	c.setLive(0, 1, 2)
	until(t, "slot 2's first client", func() bool {
		for i := range 60 {
			if c.slotOf(client(i), "/") == 2 {
				return true
			}
		}
		return false
	})
	for i, slot := range before {
		if got := c.slotOf(client(i), "/"); got != slot && got != 2 {
			t.Errorf("a client of slot %d moved to %d", slot, got)
		}
	}
}

// TestAddresses: nginx has to recognise the socket it inherits by its address.
func TestAddresses(t *testing.T) {
	for _, addr := range []string{"[::1]:0", "0.0.0.0:0", ":0", "localhost:0"} {
		t.Run(addr, func(t *testing.T) {
			c := newCluster(t, 2, "", func(c *strategies.Config) { c.Addr = addr })
			at := c.public
			if at.Addr().IsUnspecified() {
				at = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), at.Port())
			}
			res, err := http.Get("http://" + at.String())
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != 200 {
				t.Errorf("%s: %s", c.public, res.Status)
			}
		})
	}
}

func TestWorkerSide(t *testing.T) {
	w := strategies.Worker{Refuse: http.NotFoundHandler(), Neighbours: http.RedirectHandler("/", http.StatusFound), Registry: nil}
	for strict, want := range map[bool]int{true: http.StatusNotFound, false: http.StatusFound} {
		s := Info.New(strategies.Config{Strict: strict})
		rec := httptest.NewRecorder()
		s.Route(w).ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
		if rec.Code != want {
			t.Errorf("strict %v: %d, want %d", strict, rec.Code, want)
		}
		if p := s.Page(nil); p != strategies.SameOrigin {
			t.Errorf("page: %v", p)
		}
	}
}

func TestNotInstalled(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, _, err := Info.New(strategies.Config{Addr: "127.0.0.1:0", WorkerPort: 3131}).Sockets(1)
	if err == nil || !strings.Contains(err.Error(), "apt-get install nginx") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v", err)
	}
}

func TestLines(t *testing.T) {
	var b bytes.Buffer
	l := &lines{log: slog.New(slog.NewTextHandler(&b, nil))}
	io.WriteString(l, "2026/01/02 15:04:05 [emerg] 12#12: no ")
	io.WriteString(l, "good\nnginx: [warn] hm\n2026/01/02 15:04:05 [alert] 1#1: *3 open socket #4 left in connection 2\nodd\n")
	var got []string
	for text := range strings.Lines(b.String()) {
		_, text, _ = strings.Cut(strings.TrimSpace(text), " ")
		got = append(got, text)
	}
	want := []string{`level=ERROR msg="nginx: no good"`, `level=WARN msg="nginx: hm"`, `level=ERROR msg="nginx: odd"`}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("logged %q", got)
	}
}

// TestReplace: whoever reads meanwhile finds what was there, or what is there.
func TestReplace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nginx.conf")
	texts := []string{strings.Repeat("old\n", 1000), strings.Repeat("new\n", 2000)}
	if err := replace(path, []byte(texts[0])); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		var err error
		for i := 0; i < 500 && err == nil; i++ {
			err = replace(path, []byte(texts[i%2]))
		}
		done <- err
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
		if b, err := os.ReadFile(path); err != nil || !slices.Contains(texts, string(b)) {
			t.Fatalf("read %d bytes, %v", len(b), err)
		}
	}
}

func TestBackoff(t *testing.T) {
	var b backoff
	for i, step := range []struct{ ran, want time.Duration }{
		{0, 0}, {0, 100 * time.Millisecond}, {0, 200 * time.Millisecond}, {9 * time.Second, 400 * time.Millisecond},
		{0, 800 * time.Millisecond}, {0, 1600 * time.Millisecond}, {0, longest}, {0, longest}, {well, 0}, {0, 100 * time.Millisecond},
	} {
		if got := b.next(step.ran); got != step.want {
			t.Errorf("death %d: %v, want %v", i+1, got, step.want)
		}
	}
}
