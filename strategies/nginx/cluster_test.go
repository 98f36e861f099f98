package nginx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/clustertest"
	"github.com/samedoor/samedoor/strategies"
)

// A cluster is the strategy with tiny servers in place of the workers.
type cluster struct {
	t      *testing.T
	s      strategies.Strategy
	cfg    strategies.Config
	public netip.AddrPort
	ended  chan error // what Front returned
	cancel context.CancelFunc

	mu      sync.Mutex
	live    []int
	changed chan struct{}
	servers []*http.Server
}

func newCluster(t *testing.T, n int, method string, change ...func(*strategies.Config)) *cluster {
	t.Helper()
	if _, err := find(); err != nil {
		if os.Getenv("E2E_REQUIRED") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	c := &cluster{t: t, ended: make(chan error, 1), changed: make(chan struct{})}
	for slot := range n {
		c.live = append(c.live, slot)
	}
	c.cfg = strategies.Config{
		Addr:        "127.0.0.1:0",
		NginxMethod: method,
		FrontSecret: "s3cret",
		Dir:         t.TempDir(),
		Live:        c.liveSlots,
		Log:         slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	for _, f := range change {
		f(&c.cfg)
	}
	if err := os.Chmod(c.cfg.Dir, 0o700); err != nil { // as the master's: nginx's own processes may run as another user
		t.Fatal(err)
	}
	for try := 0; ; try++ { // until n+1 ports in a row are free
		c.cfg.WorkerPort = 20000 + rand.IntN(10000)
		c.s = Info.New(c.cfg)
		if _, _, err := c.s.Sockets(n + 1); err == nil {
			break
		} else if try == 20 {
			t.Fatal(err)
		}
		c.s.(*nginx).close()
	}
	c.sockets(n)
	ctx, cancel := context.WithCancel(t.Context())
	c.cancel = cancel
	go func() { c.ended <- c.s.Front(ctx) }()
	t.Cleanup(c.stop)
	return c
}

// sockets asks for n slots and serves those that are not served yet.
func (c *cluster) sockets(n int) {
	c.t.Helper()
	public, slots, err := c.s.Sockets(n)
	if err != nil {
		c.t.Fatal(err)
	}
	c.public = public
	for slot := len(c.servers); slot < n; slot++ {
		l, err := net.FileListener(slots[slot][0])
		if err != nil {
			c.t.Fatal(err)
		}
		srv := &http.Server{Handler: worker(slot)}
		go srv.Serve(l)
		c.servers = append(c.servers, srv)
	}
}

func (c *cluster) stop() {
	c.t.Helper()
	if c.cancel == nil {
		return
	}
	c.cancel()
	c.cancel = nil
	select {
	case err := <-c.ended:
		if err != nil {
			c.t.Errorf("Front: %v", err)
		}
	case <-time.After(4 * time.Second):
		c.t.Error("Front goes on 4 s after its context was done")
	}
	for _, s := range c.servers {
		s.Close()
	}
}

func (c *cluster) liveSlots() ([]int, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.live, c.changed
}

func (c *cluster) setLive(slots ...int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live = slots
	close(c.changed)
	c.changed = make(chan struct{})
}

// worker answers with its slot and what it was told; an upgrade it echoes.
func worker(slot int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Samedoor-Worker", strconv.Itoa(slot))
		if r.Header.Get("Upgrade") == "" {
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprintf(w, "%d bytes host=%s xff=%q front=%q forwarded=%q", n, r.Host,
				r.Header.Values("X-Forwarded-For"), r.Header.Values(strategies.FrontHeader), r.Header.Values("Forwarded"))
			return
		}
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: %s\r\nConnection: %s\r\nX-Samedoor-Worker: %d\r\n\r\n",
			r.Header.Get("Upgrade"), r.Header.Get("Connection"), slot)
		io.Copy(conn, rw)
	})
}

// dial connects to the public address from an address of one's choice.
func (c *cluster) dial(from string) (net.Conn, error) {
	d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.Dial("tcp", c.public.String())
	if err == nil {
		conn.SetDeadline(time.Now().Add(20 * time.Second))
	}
	return conn, err
}

// get makes one request, on a connection of its own.
func (c *cluster) get(from, path string, body io.Reader, header ...string) (slot int, text string, err error) {
	tr := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return c.dial(from) },
	}
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequest(method, "http://"+c.public.String()+path, body)
	if err != nil {
		return -1, "", err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	res, err := tr.RoundTrip(req)
	if err != nil {
		return -1, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if res.StatusCode != 200 && err == nil {
		err = errors.New(res.Status)
	}
	slot, _ = strconv.Atoi(res.Header.Get("X-Samedoor-Worker"))
	return slot, string(b), err
}

// slotOf is get for those who only want the slot.
func (c *cluster) slotOf(from, path string) int {
	c.t.Helper()
	slot, _, err := c.get(from, path, nil)
	if err != nil {
		c.t.Fatalf("%s from %s: %v", path, from, err)
	}
	return slot
}

// nginxPid is the process number of the nginx that serves now.
func (c *cluster) nginxPid() int {
	c.t.Helper()
	var pid int
	until(c.t, "nginx's pid file", func() bool {
		b, _ := os.ReadFile(filepath.Join(c.cfg.Dir, "nginx.pid"))
		pid, _ = strconv.Atoi(strings.TrimSpace(string(b)))
		return pid > 0
	})
	return pid
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	clustertest.Until(t, 10*time.Second, what, ok)
}

// groupGone tells whether no process of nginx's group is left, not even a zombie.
func groupGone(pid int) bool { return syscall.Kill(-pid, 0) == syscall.ESRCH }

// children lists the processes that nginx has started.
func children(t *testing.T, pid int) (pids []int) {
	t.Helper()
	out, err := exec.Command("ps", "-o", "pid=", "--ppid", strconv.Itoa(pid)).Output()
	if err != nil {
		return nil // none
	}
	for _, f := range strings.Fields(string(out)) {
		n, _ := strconv.Atoi(f)
		pids = append(pids, n)
	}
	return pids
}
