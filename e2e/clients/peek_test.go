package clients

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/clustertest"
)

// descriptors counts those that a cluster's master has open, but for the bus's:
// workers have as many connections to it as they need at a time.
func descriptors(t *testing.T, c *clustertest.Cluster) (n int) {
	t.Helper()
	proc := fmt.Sprintf("/proc/%d/", c.PID())
	fds, err := os.ReadDir(proc + "fd")
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := os.ReadFile(proc + "net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(c.Addr)
	public, _ := strconv.Atoi(port)
	other := map[string]bool{}
	for line := range strings.Lines(string(tcp)) {
		if f := strings.Fields(line); len(f) > 9 && !strings.HasSuffix(f[1], fmt.Sprintf(":%04X", public)) {
			other["socket:["+f[9]+"]"] = true
		}
	}
	for _, fd := range fds {
		if what, err := os.Readlink(proc + "fd/" + fd.Name()); err == nil && !other[what] {
			n++
		}
	}
	return n
}

// TestPeekUnderAttack: whatever clients send or don't, others are served
// meanwhile, and in the end the master is as it was.
func TestPeekUnderAttack(t *testing.T) {
	c := clustertest.Start(t, "--strategy", "sid")
	served := func(when string) {
		t.Helper()
		for i := range 8 {
			sid, slot, err := open(addr(i), c.URL, false)
			if err == nil {
				var resp string
				if resp, err = get(c, "/healthz?sid="+sid); resp != slot {
					t.Errorf("%s: a session of slot %s is looked for on %q", when, slot, resp)
				}
			}
			if err != nil {
				t.Errorf("%s: a newcomer: %v", when, err)
			}
		}
	}
	served("before")
	before := descriptors(t, c)

	var mu sync.Mutex
	var open []net.Conn
	defer func() {
		for _, conn := range open {
			conn.Close()
		}
	}()
	dial := func(i int, first string) net.Conn {
		d := net.Dialer{Timeout: 10 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr(100 + i%50))}}
		conn, err := d.Dial("tcp", c.Addr)
		if err != nil {
			t.Errorf("connection %d: %v", i, err)
			return nil
		}
		_, _ = io.WriteString(conn, first)
		mu.Lock()
		defer mu.Unlock()
		open = append(open, conn)
		return conn
	}
	many := func(n int, first string) {
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for i := w; i < n; i += 8 {
					dial(i, first)
				}
			})
		}
		wg.Wait()
	}
	drip := dial(0, "")
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Second):
				_, _ = io.WriteString(drip, "G")
			}
		}
	}()

	// A worker dies while some are waited for: they find its successor. In a
	// crowd, which is to come, it may be another.
	sid, slot, err := openOn(c, "1")
	if err != nil {
		t.Fatal(err)
	}
	late := dial(0, "GET /healthz?si")
	successor(t, c, 1, kill(t, c, 1))
	if _, err := io.WriteString(late, "d="+sid+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	_ = late.SetReadDeadline(time.Now().Add(10 * time.Second))
	if b, _ := io.ReadAll(late); !strings.Contains(string(b), "X-Samedoor-Worker: "+slot) {
		t.Errorf("a request that took its time while the worker died: %.200q", b)
	}

	for _, attack := range []struct {
		name, first string
		n           int
	}{
		{"silence", "", 5000},
		{"half a request", "GET /socket.io/?EIO=4&transport=poll", 1000},
		{"a long head", "GET /" + strings.Repeat("x", 64<<10), 50},
		{"no head at all", strings.Repeat("x", 64<<10), 50},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 50},
		{"forged sids", "GET /socket.io/?EIO=4&transport=polling&sid=99.x HTTP/1.1\r\nHost: x\r\n\r\n", 50},
	} {
		many(attack.n, attack.first)
		served(attack.name)
	}
	for i := range 50 { // leave at once
		if conn := dial(i, "GE"); conn != nil {
			_ = conn.(*net.TCPConn).SetLinger(i % 2)
			conn.Close()
		}
	}
	if err := tls.Client(dial(0, ""), &tls.Config{InsecureSkipVerify: true}).Handshake(); err == nil {
		t.Error("TLS was answered")
	}
	served("TLS")

	// Workers give a header 10 s. All the while nobody closes on this side.
	clustertest.Until(t, 60*time.Second, "all connections are closed", func() bool { return descriptors(t, c) <= before })
	used := cpu([]int{c.PID()})
	time.Sleep(2 * time.Second)
	if used = cpu([]int{c.PID()}) - used; used > 100*time.Millisecond {
		t.Errorf("the master used %v in 2 s with nothing to do", used)
	}
	served("after")
	t.Logf("the master: %d descriptors before and %d after; %v of CPU in 2 s of idleness", before, descriptors(t, c), used)
}

// get returns the slot that answered.
func get(c *clustertest.Cluster, path string) (slot string, err error) {
	resp, err := from(addr(0)).Get(c.URL + path)
	if err != nil {
		return "", err
	}
	resp.Body.Close()
	if resp.StatusCode >= 500 {
		return "", fmt.Errorf("%s: %s", path, resp.Status)
	}
	return resp.Header.Get("X-Samedoor-Worker"), nil
}

// openOn opens sessions until one is on that slot.
func openOn(c *clustertest.Cluster, want string) (sid, slot string, err error) {
	for range 40 {
		if sid, slot, err = open(addr(0), c.URL, false); err != nil || slot == want {
			return sid, slot, err
		}
	}
	return "", "", syscall.ESRCH
}
