package nginx

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/samedoor/samedoor/internal/clustertest"
	"github.com/samedoor/samedoor/strategies"
)

// TestMended kills nginx again and again while clients connect.
func TestMended(t *testing.T) {
	c := newCluster(t, 4, "")
	want := c.slotOf(client(1), "/")
	stop, done := make(chan struct{}), make(chan struct{})
	var asked atomic.Int32
	var refused, failed int
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			slot, _, err := c.get(client(1), "/", nil)
			asked.Add(1)
			switch {
			case errors.Is(err, syscall.ECONNREFUSED):
				refused++
			case err != nil:
				failed++ // it was in nginx's hands
			case slot != want:
				t.Errorf("slot %d, before %d", slot, want)
			}
		}
	}()
	for range 3 {
		pid := c.nginxPid()
		kids := children(t, pid)
		syscall.Kill(pid, syscall.SIGKILL)
		killed := time.Now()
		until(t, "another nginx", func() bool { return c.nginxPid() != pid })
		t.Logf("nginx %d killed, another up after %v", pid, time.Since(killed).Round(time.Millisecond))
		for _, kid := range kids {
			until(t, "the end of what the killed one had started", func() bool { return clustertest.Gone(kid) })
		}
		more := asked.Load() + 5
		until(t, "more requests", func() bool { return asked.Load() >= more })
	}
	close(stop)
	<-done
	if refused > 0 || failed > 3 {
		t.Errorf("%d requests: %d refused, %d failed", asked.Load(), refused, failed)
	}
	t.Logf("%d requests: %d refused, %d failed", asked.Load(), refused, failed)
}

func TestNginxWorkerKilled(t *testing.T) {
	c := newCluster(t, 2, "")
	slot := c.slotOf(client(1), "/")
	pid := c.nginxPid()
	for _, kid := range children(t, pid) {
		syscall.Kill(kid, syscall.SIGKILL)
	}
	if got := c.slotOf(client(1), "/"); got != slot || c.nginxPid() != pid {
		t.Errorf("slot %d, before %d; nginx %d, before %d", got, slot, c.nginxPid(), pid)
	}
}

// TestToldToEnd: someone stops nginx in good order, which is no better for us.
func TestToldToEnd(t *testing.T) {
	c := newCluster(t, 2, "")
	c.slotOf(client(1), "/")
	pid := c.nginxPid()
	syscall.Kill(pid, syscall.SIGTERM)
	until(t, "another nginx", func() bool { return c.nginxPid() != pid })
	c.slotOf(client(1), "/")
}

func TestEnds(t *testing.T) {
	for _, open := range []string{"nothing", "a WebSocket"} {
		t.Run(open, func(t *testing.T) {
			routines, fds := runtime.NumGoroutine(), clustertest.Descriptors(t)
			c := newCluster(t, 4, "")
			c.slotOf(client(1), "/")
			if nonblocking(t, c.s.(*nginx).public) == false {
				t.Error("the public socket has become blocking: nginx would hang in accept")
			}
			if open == "a WebSocket" {
				say, _ := c.upgrade(client(1))
				if err := say("hello"); err != nil {
					t.Error(err)
				}
			}
			pid := c.nginxPid()
			began := time.Now()
			c.stop()
			t.Logf("ended in %v", time.Since(began).Round(time.Millisecond))
			if !groupGone(pid) {
				t.Error("a process of nginx is left")
			}
			for slot := range 4 {
				free(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(c.cfg.WorkerPort+slot)))
			}
			free(t, c.public.String())
			if open == "nothing" {
				until(t, "goroutines and descriptors to go", func() bool {
					return runtime.NumGoroutine() <= routines && clustertest.Descriptors(t) <= fds
				})
			}
		})
	}
}

func nonblocking(t *testing.T, f *os.File) (is bool) {
	t.Helper()
	rc, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = rc.Control(func(fd uintptr) {
		flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
		is = err == nil && flags&unix.O_NONBLOCK != 0
	})
	return is
}

// free: nobody listens on addr.
func free(t *testing.T, addr string) {
	t.Helper()
	if conn, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
		conn.Close()
		t.Errorf("%s still answers", addr)
	}
}

// TestDoesNotStart: an nginx that never comes up ends the master, with nginx's reason.
func TestDoesNotStart(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	script := "#!/bin/sh\necho 'nginx: [emerg] no such thing' >&2\nexit 1\n"
	if err := os.WriteFile(filepath.Join(dir, "nginx"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	s := Info.New(strategies.Config{
		Addr: "127.0.0.1:0", WorkerPort: 30000 + os.Getpid()%1000, Dir: t.TempDir(),
		Live: func() ([]int, <-chan struct{}) { return []int{0}, nil },
	})
	if _, _, err := s.Sockets(1); err != nil {
		t.Fatal(err)
	}
	err := s.Front(t.Context())
	if err == nil || err.Error() != "nginx does not start: no such thing (exit status 1)" {
		t.Errorf("error %v", err)
	}
}

// TestParentDeath kills a process that runs the strategy: nginx must follow.
func TestParentDeath(t *testing.T) {
	if _, err := find(); err != nil && os.Getenv("E2E_REQUIRED") == "" {
		t.Skip(err)
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestHelperParent$")
	cmd.Env = append(os.Environ(), "NGINX_TEST_DIR="+dir)
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, cfg: strategies.Config{Dir: dir}}
	pid := c.nginxPid()
	addr, err := os.ReadFile(filepath.Join(dir, "addr"))
	if err != nil {
		t.Fatal(err)
	}
	// Threads come and go in the parent; nginx must not take one's end for the parent's.
	until(t, "the threads of the parent", func() bool { _, err := os.Stat(filepath.Join(dir, "threads")); return err == nil })
	if c.nginxPid() != pid || groupGone(pid) {
		t.Error("nginx did not outlive a thread of its parent")
	}
	kids := children(t, pid)
	cmd.Process.Kill()
	killed := time.Now()
	cmd.Wait()
	until(t, "the end of nginx", func() bool {
		return clustertest.Gone(pid) && !slices.ContainsFunc(kids, func(kid int) bool { return !clustertest.Gone(kid) })
	})
	took := time.Since(killed)
	if took > 2*time.Second {
		t.Errorf("nginx lived %v longer than its parent", took)
	}
	t.Logf("nginx gone %v after its parent", took.Round(time.Millisecond))
	l, err := net.Listen("tcp", string(addr))
	if err != nil {
		t.Fatalf("the address is not free: %v", err)
	}
	l.Close()
}

// TestHelperParent is the process that TestParentDeath kills.
func TestHelperParent(t *testing.T) {
	dir := os.Getenv("NGINX_TEST_DIR")
	if dir == "" {
		t.Skip("not a test")
	}
	s := Info.New(strategies.Config{
		Addr: "127.0.0.1:0", WorkerPort: 31000 + os.Getpid()%1000, Dir: dir, Log: slog.Default(),
		Live: func() ([]int, <-chan struct{}) { return []int{0, 1}, nil },
	})
	public, _, err := s.Sockets(2)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "addr"), []byte(public.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	go func() {
		for range 50 { // each ends with its goroutine, since that stays locked to it
			end := make(chan struct{})
			go func() { runtime.LockOSThread(); close(end) }()
			<-end
		}
		_ = os.WriteFile(filepath.Join(dir, "threads"), nil, 0o600)
	}()
	t.Fatal(s.Front(context.Background()))
}
