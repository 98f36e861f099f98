package clients

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/cert/certtest"
	"github.com/samedoor/samedoor/internal/clustertest"
	"github.com/samedoor/samedoor/internal/eioclient"
)

// scaled runs `samedoor scale n` in the background; what it said and its exit
// code arrive when it ends.
func scaled(c *clustertest.Cluster, n int) <-chan string {
	out := make(chan string, 1)
	go func() {
		said, code := c.Scale(n)
		out <- fmt.Sprintf("%s (%d)", said, code)
	}()
	return out
}

func within(t *testing.T, limit time.Duration, said <-chan string) string {
	t.Helper()
	select {
	case s := <-said:
		return s
	case <-time.After(limit):
		t.Fatalf("scale did not end within %v", limit)
		return ""
	}
}

// states are those of the slots, in order.
func states(c *clustertest.Cluster) (all []string) {
	var s clustertest.Status
	if c.Get("/cluster", &s) != nil {
		return nil
	}
	for _, w := range s.Workers {
		all = append(all, w.State)
	}
	return all
}

func allReady(t *testing.T, c *clustertest.Cluster, n int) {
	t.Helper()
	clustertest.Until(t, 20*time.Second, fmt.Sprintf("%d workers are ready", n), func() bool {
		s := states(c)
		return len(s) == n && !slices.ContainsFunc(s, func(state string) bool { return state != "ready" })
	})
}

// TestScaleNone: there is nothing to scale.
func TestScaleNone(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "sd")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	cmd := exec.Command(clustertest.Binary(t), "scale", "3")
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+dir, "TMPDIR="+dir)
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 2 || strings.Count(string(out), "\n") != 1 || !strings.Contains(string(out), "is running") {
		t.Errorf("exit code %d: %s", code, out)
	}
}

// TestScaleFails: where a new worker's port is taken, or a new worker does not
// start, all stays as it was, and nobody notices.
func TestScaleFails(t *testing.T) {
	each(t, []string{"server", "nginx"}, func(t *testing.T, strategy string) {
		t.Parallel()
		c := clustertest.Start(t, "--strategy", strategy, "--workers", "3")
		before := workers(c)
		taken, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(c.Port+4))
		if err != nil {
			t.Fatal(err)
		}
		said, code := c.Scale(6)
		if code != 1 || !strings.Contains(said, taken.Addr().String()+" is in use") || !strings.HasSuffix(said, "3 workers go on") {
			t.Errorf("exit code %d: %s", code, said)
		}
		allReady(t, c, 3)
		if after := workers(c); !slices.Equal(after, before) {
			t.Errorf("other processes: %v, before %v", after, before)
		}
		if _, _, err := open("127.0.0.1", c.URL, strategy == "server"); err != nil {
			t.Error(err)
		}
		taken.Close()
		if said, code := c.Scale(6); code != 0 || said != "3 → 6 workers" {
			t.Errorf("with the port free, exit code %d: %s", code, said)
		}
		allReady(t, c, 6)
	})
}

// TestScaleDoesNotStart: likewise when a new worker says that it can't.
func TestScaleDoesNotStart(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "sd")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	t.Setenv("TMPDIR", dir)
	c := clustertest.Start(t, "--workers", "2")
	defer c.Stop() // while its directory is there
	// Where worker 3 takes forwarded requests there is a directory.
	in, _ := filepath.Glob(filepath.Join(dir, "samedoor-*", "worker-0.sock"))
	if len(in) != 1 {
		t.Fatalf("the run's directory: %v", in)
	}
	if err := os.MkdirAll(filepath.Join(filepath.Dir(in[0]), "worker-3.sock", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	said, code := c.Scale(4)
	if code != 1 || !strings.HasPrefix(said, "samedoor: worker 3 does not start: ") || !strings.HasSuffix(said, "; 2 workers go on") {
		t.Errorf("exit code %d: %s", code, said)
	}
	allReady(t, c, 2)
	if said, code := c.Scale(3); code != 0 || said != "2 → 3 workers" {
		t.Errorf("exit code %d: %s", code, said)
	}
	allReady(t, c, 3)
}

// TestScaleTwice: the second waits for the first.
func TestScaleTwice(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, "--workers", "2")
	a, b := scaled(c, 4), scaled(c, 3)
	said := []string{within(t, 60*time.Second, a), within(t, 60*time.Second, b)}
	ok := [][]string{{"2 → 4 workers (0)", "4 → 3 workers (0)"}, {"3 → 4 workers (0)", "2 → 3 workers (0)"}}
	if !slices.Equal(said, ok[0]) && !slices.Equal(said, ok[1]) {
		t.Errorf("said %q", said)
	}
	want := 3
	if said[1] == "2 → 3 workers (0)" {
		want = 4
	}
	allReady(t, c, want)
}

// TestScaleDuringReload: it waits until the workers are replaced; those that
// came later are not.
func TestScaleDuringReload(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, "--workers", "3")
	before := workers(c)
	c.Signal(syscall.SIGHUP)
	clustertest.Until(t, 10*time.Second, "the reload has begun", func() bool { return strings.Contains(c.Log(), "reload: ") })
	if said := within(t, 60*time.Second, scaled(c, 2)); said != "3 → 2 workers (0)" {
		t.Errorf("said %q", said)
	}
	allReady(t, c, 2)
	for slot, pid := range workers(c) {
		if pid == before[slot] {
			t.Errorf("worker %d was not replaced", slot)
		}
	}
	log := c.Log()
	if strings.Count(log, "INFO worker drained") != 4 || strings.Contains(log, "worker died") || strings.Contains(log, "reload stopped") {
		t.Errorf("3 replaced and 1 gone:\n%s", log)
	}
}

// TestScaleWorkerDies: a worker that dies while it leaves has no successor, and
// one that dies elsewhere meanwhile has.
func TestScaleWorkerDies(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, "--workers", "3", "--strategy", "redis")
	for range 12 { // sessions that never poll: leaving takes long
		if _, _, err := open("127.0.0.1", c.URL, false); err != nil {
			t.Fatal(err)
		}
	}
	pids := workers(c)
	said := scaled(c, 2)
	clustertest.Until(t, 10*time.Second, "worker 2 leaves", func() bool { s := states(c); return len(s) == 3 && s[2] == "leaving" })
	_ = syscall.Kill(pids[0], syscall.SIGKILL)
	_ = syscall.Kill(pids[2], syscall.SIGKILL)
	if s := within(t, 60*time.Second, said); s != "3 → 2 workers (0)" {
		t.Errorf("said %q", s)
	}
	allReady(t, c, 2)
	now := workers(c)
	if now[0] == pids[0] || now[1] != pids[1] {
		t.Errorf("processes %v, before %v", now, pids)
	}
	if _, _, err := open("127.0.0.1", c.URL, false); err != nil {
		t.Error(err)
	}
}

// TestStopWhileScaling: the end of the master does not wait for clients.
func TestStopWhileScaling(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, "--workers", "2", "--strategy", "redis")
	for range 8 {
		if _, _, err := open("127.0.0.1", c.URL, false); err != nil {
			t.Fatal(err)
		}
	}
	all := family(c.PID())
	said := scaled(c, 1)
	clustertest.Until(t, 10*time.Second, "worker 1 leaves", func() bool { s := states(c); return len(s) == 2 && s[1] == "leaving" })
	c.Stop()
	if s := within(t, 20*time.Second, said); !strings.HasSuffix(s, "(1)") {
		t.Errorf("said %q", s)
	}
	if left := alive(all); len(left) > 0 {
		t.Errorf("left running: %v", left)
	}
}

// TestScaleToGivenUp: what would be left must be able to serve.
func TestScaleToGivenUp(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, "--workers", "2", "--max-restarts", "0", "--strategy", "redis")
	_ = syscall.Kill(c.Worker(0), syscall.SIGKILL)
	clustertest.Until(t, 10*time.Second, "slot 0 given up", func() bool { s := states(c); return len(s) == 2 && s[0] == "given up" })
	if said, code := c.Scale(1); code != 1 || !strings.Contains(said, "given up") {
		t.Errorf("exit code %d: %s", code, said)
	}
	if said, code := c.Scale(3); code != 0 || said != "2 → 3 workers" {
		t.Errorf("exit code %d: %s", code, said)
	}
	if s := states(c); !slices.Equal(s, []string{"given up", "ready", "ready"}) {
		t.Errorf("%v", s)
	}
}

// TestLeavingWorkerSendsElsewhere: over a connection that is kept alive to a
// worker that leaves, a newcomer is let in by another, and told to come by a
// new connection.
func TestLeavingWorkerSendsElsewhere(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, "--workers", "2", "--strategy", "master")
	home := homeOf(t, c, "1") // and a session that keeps worker 1 waiting: it never polls
	kept, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(home)}}).Dial("tcp", c.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	answers := bufio.NewReader(kept)
	ask := func() *http.Response {
		t.Helper()
		_ = kept.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = io.WriteString(kept, "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n")
		r, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, r.Body)
		return r
	}
	if r := ask(); r.StatusCode != 200 || r.Header.Get("X-Samedoor-Worker") != "1" || r.Close {
		t.Fatalf("%s %v", r.Status, r.Header)
	}
	said := scaled(c, 1)
	clustertest.Until(t, 10*time.Second, "worker 1 leaves", func() bool { s := states(c); return len(s) == 2 && s[1] == "leaving" })
	clustertest.Until(t, 10*time.Second, "it drains", func() bool {
		_, slot, err := open(home, c.URL, false)
		return err == nil && slot == "0"
	})
	if r := ask(); r.StatusCode != 200 || r.Header.Get("X-Samedoor-Worker") != "0" || r.Header.Get("X-Samedoor-Via") != "1" || !r.Close {
		t.Errorf("%s %v", r.Status, r.Header)
	}
	if s := within(t, 60*time.Second, said); s != "2 → 1 workers (0)" {
		t.Errorf("said %q", s)
	}
}

// homeOf finds an address whose clients a slot gets.
func homeOf(t *testing.T, c *clustertest.Cluster, want string) string {
	t.Helper()
	for i := range 60 {
		if _, a, err := eioclient.New(c.URL, addr(i)).Open(); err == nil && strconv.Itoa(a.Worker) == want {
			return addr(i)
		}
	}
	t.Fatalf("no client is on slot %s", want)
	return ""
}

// TestLeavingForwarder: a quiet client, whose poll a worker that leaves holds
// for the owner, keeps its session: it is sent to poll by another way. (By TLS,
// where no connection can be handed over.)
func TestLeavingForwarder(t *testing.T) {
	t.Parallel()
	cert, key := certtest.Write(t, "127.0.0.1")
	c := clustertest.Start(t, "--workers", "2", "--tls-cert", cert, "--tls-key", key)
	here, there := homeOf(t, c, "0"), homeOf(t, c, "1")
	sid, _, err := eioclient.New(c.URL, here).Open()
	if err != nil {
		t.Fatal(err)
	}
	polled := make(chan string, 1)
	go func() {
		a, err := eioclient.New(c.URL, there).Poll(sid) // its address has changed
		polled <- fmt.Sprintf("%d %s %d %d %v", a.Status, a.Body, a.Worker, a.Via, err)
	}()
	clustertest.Until(t, 20*time.Second, "the poll is forwarded", func() bool { return c.Status().Workers[1].Forwarded > 0 })
	if said := within(t, 60*time.Second, scaled(c, 1)); said != "2 → 1 workers (0)" {
		t.Errorf("said %q", said)
	}
	if got := within(t, 20*time.Second, polled); got != "200 6 0 1 <nil>" {
		t.Errorf("the poll: %s", got)
	}
	l := eioclient.New(c.URL, there)
	if a, err := l.Post(sid, "40"); err != nil || a.Status != 200 {
		t.Errorf("the session: %+v %v", a, err)
	}
	if a, err := l.Poll(sid); err != nil || !strings.HasPrefix(a.Body, "40") {
		t.Errorf("the session: %+v %v", a, err)
	}
}
