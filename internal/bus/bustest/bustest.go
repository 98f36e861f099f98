// Package bustest gives tests a real Redis that can be stopped, killed and
// started again, and a line to a bus that can be cut.
package bustest

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Redis is a redis-server of the test's own, on a free port, without
// persistence.
type Redis struct {
	Addr string

	t    testing.TB
	args []string

	cmd   *exec.Cmd     // nil while it does not run
	ended chan struct{} // closed when it has ended
}

// StartRedis starts redis-server, with further arguments if any, and waits
// until it answers. Where there is none the test is skipped, or fails if
// E2E_REQUIRED is set.
func StartRedis(t testing.TB, args ...string) *Redis {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("E2E_REQUIRED") != "" {
			t.Fatal("redis-server is required and not installed")
		}
		t.Skip("redis-server is not installed")
	}
	r := &Redis{t: t, args: args}
	t.Cleanup(r.Kill)
	for tries := 1; ; tries++ {
		r.Addr = freeAddr(t)
		err := r.start()
		if err == nil {
			return r
		}
		if r.runs() || tries == 10 { // else the port is taken, or too high for a cluster's
			t.Fatal(err)
		}
		r.Kill()
	}
}

func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// startWithParent starts cmd from a thread that lives as long as cmd does: the
// kernel tells a child of its parent's death when that thread ends.
func startWithParent(cmd *exec.Cmd, ended chan<- struct{}) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	return <-started
}

// StartSentinel starts a Sentinel from a configuration file, which it will
// write to.
func StartSentinel(t testing.TB, conf string) *Redis { return StartRedis(t, conf, "--sentinel") }

// URL is what bus.Open takes.
func (r *Redis) URL() string { return "redis://" + r.Addr }

// Start starts it, again after a Kill on the same port and without its data.
func (r *Redis) Start() {
	r.t.Helper()
	if err := r.start(); err != nil {
		r.t.Fatal(err)
	}
}

func (r *Redis) start() error {
	_, port, _ := net.SplitHostPort(r.Addr)
	args := []string{"--bind", "127.0.0.1", "--port", port, "--dir", r.t.TempDir()}
	if n := len(r.args); n == 0 || r.args[n-1] != "--sentinel" {
		args = append(args, "--save", "", "--appendonly", "no")
		args = append(args, r.args...)
	} else {
		args = append(r.args[:n-1:n-1], append(args, "--sentinel")...) // its file comes first
	}
	r.cmd = exec.Command("redis-server", args...)
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	r.ended = make(chan struct{})
	if err := startWithParent(r.cmd, r.ended); err != nil {
		return err
	}
	c := r.Client()
	defer c.Close()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		err := c.Ping(context.Background()).Err()
		if err == nil || redis.HasErrorPrefix(err, "NOAUTH") {
			return nil
		}
		if !r.runs() {
			return fmt.Errorf("redis-server ended at once: %v", r.cmd.ProcessState)
		}
		if time.Now().After(end) {
			return fmt.Errorf("redis-server does not answer: %w", err)
		}
	}
}

func (r *Redis) runs() bool {
	select {
	case <-r.ended:
		return false
	default:
		return true
	}
}

// Client returns a client of its own for looking behind the bus's back. The
// caller closes it.
func (r *Redis) Client() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: r.Addr, Protocol: 2, DisableIdentity: true, DialerRetries: 1, MaxRetries: -1})
}

// Kill ends it with SIGKILL; its data is lost.
func (r *Redis) Kill() {
	if r.cmd != nil {
		_ = r.cmd.Process.Kill()
		<-r.ended
		r.cmd = nil
	}
}

// Pause stops it so that it accepts connections but answers nothing.
func (r *Redis) Pause() { r.signal(syscall.SIGSTOP) }

// Resume undoes Pause.
func (r *Redis) Resume() { r.signal(syscall.SIGCONT) }

func (r *Redis) signal(s os.Signal) {
	if err := r.cmd.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

// Line is a TCP proxy that can be cut.
type Line struct {
	Addr string

	listener net.Listener
	to       []string
	attempts atomic.Int64

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]struct{}
	done  sync.WaitGroup
}

// NewLine carries connections to the address to, or with several to each in
// turn, as a load balancer of the plainest kind.
func NewLine(t testing.TB, to ...string) *Line {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Line{Addr: l.Addr().String(), listener: l, to: to, conns: map[net.Conn]struct{}{}}
	p.done.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.Cut()
		p.done.Wait()
	})
	return p
}

// Cut ends all connections, and each new one as soon as it is accepted.
func (p *Line) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	p.attempts.Store(0)
	for c := range p.conns {
		c.Close()
	}
}

// Mend lets connections through again.
func (p *Line) Mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = false
}

// Attempts counts the connections tried since the line was cut.
func (p *Line) Attempts() int { return int(p.attempts.Load()) }

func (p *Line) accept() {
	for turn := 0; ; turn++ {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.attempts.Add(1)
		p.done.Go(func() { p.carry(c, p.to[turn%len(p.to)]) })
	}
}

func (p *Line) carry(c net.Conn, to string) {
	defer c.Close()
	if !p.keep(c) {
		return
	}
	defer p.drop(c)
	s, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer s.Close()
	if !p.keep(s) {
		return
	}
	defer p.drop(s)
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(c, s) // either end closing ends both ways
		c.Close()
	})
	_, _ = io.Copy(s, c)
	s.Close()
	back.Wait()
}

func (p *Line) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.cut {
		p.conns[c] = struct{}{}
	}
	return !p.cut
}

func (p *Line) drop(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// Through returns a bus URL that leads through the line instead.
func (p *Line) Through(userinfo string) string { return fmt.Sprintf("redis://%s%s", userinfo, p.Addr) }
