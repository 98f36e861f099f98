package compare

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/samedoor/samedoor/internal/control"
	"github.com/samedoor/samedoor/internal/restart"
	"github.com/samedoor/samedoor/web"
)

const (
	startsWithin = 60 * time.Second
	endsWithin   = 4 * time.Second // after SIGTERM, else it is killed
)

// A cluster is one strategy's: a `samedoor serve` with ports of its own.
type cluster struct {
	Strategy
	binary  string
	log     *slog.Logger
	workers int
	ip      netip.Addr    // it listens on
	first   int           // its ports: the public one, then the workers'
	fixed   bool          // first was asked for
	delay   time.Duration // before it is started again
	starts  time.Duration // within this time, else it is not going to

	up   chan struct{} // closed once it serves, or has told why it can't
	once sync.Once     // closes up

	mu    sync.Mutex // guards the following
	state web.CompareStrategy
}

// cantStart is the exit code by which samedoor says that it lacks what it needs.
const cantStart = 2

// run keeps the cluster alive until ctx is done. One that cannot start is left
// alone: it is unavailable if it says that this is no place for it, gone if it
// failed. One that dies later is started again, on the same ports, as often as a
// master starts a worker.
func (c *cluster) run(ctx context.Context) {
	policy := restart.Policy{Max: 3, Delay: c.delay}
	served := false
	for tries := 1; ; tries++ {
		if c.first == 0 {
			first, ok := freePorts(1 + c.workers)
			if !ok {
				c.is(web.CompareUnavailable, "no free ports were found: choose some with --base-port")
				return
			}
			c.first = first
		}
		c.mu.Lock()
		c.state.Port = c.first
		c.mu.Unlock()
		ready, why, code := c.live(ctx)
		served = served || ready > 0
		switch {
		case ctx.Err() != nil:
			return
		case !served && !c.fixed && tries < 3 && !free(c.first, 1+c.workers): // somebody was quicker
			c.first = 0
			continue
		case !served && code == cantStart:
			c.is(web.CompareUnavailable, why)
			return
		case !served:
			c.is(web.CompareGone, why)
			return
		}
		after, giveUp := policy.Died(ready)
		if giveUp {
			c.log.Error("cluster given up: it died too often", "restarts", policy.Count, "last", why)
			c.is(web.CompareGone, why)
			return
		}
		c.log.Warn("cluster died", "how", why, "next", after.String())
		c.is(web.CompareRestarting, why)
		select {
		case <-time.After(after):
		case <-ctx.Done():
		}
		if awaitFree(ctx, c.first, 1+c.workers); ctx.Err() != nil {
			return
		}
	}
}

// live is the life of one process: for how long it served, why it ended, and its
// exit code, -1 if it has none.
func (c *cluster) live(ctx context.Context) (served time.Duration, why string, code int) {
	args := append([]string{
		"serve", "--strategy", c.Name, "--workers", strconv.Itoa(c.workers), "--log", "json",
		"--addr", netip.AddrPortFrom(c.ip, uint16(c.first)).String(), "--worker-port", strconv.Itoa(c.first + 1),
	}, c.Args...)
	cmd := exec.Command(c.binary, args...)
	cmd.Env = control.Environ()
	said := make(chan string, 1) // the ready line
	cmd.Stdout = &lines{each: func(line string) {
		if strings.HasPrefix(line, "ready ") {
			select {
			case said <- line:
			default:
			}
		}
	}}
	log := &childLog{log: c.log}
	cmd.Stderr = &lines{each: log.line}
	cmd.WaitDelay = time.Second // its workers share the stream, and end after it
	// Our death ends it, too, in order: the kernel tells it when the thread ends
	// that started it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	started, ended := make(chan error, 1), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(ended)
		err := cmd.Start()
		if started <- err; err == nil {
			_ = cmd.Wait() // ProcessState tells
		}
	}()
	if err := <-started; err != nil {
		return 0, err.Error(), -1
	}
	late := time.After(c.starts)
	stop := ctx.Done()
	var since time.Time
	var kill <-chan time.Time
	for {
		select {
		case <-said:
			since, late = time.Now(), nil
			c.serves(ctx)
		case <-late:
			why = fmt.Sprintf("it was not ready within %v", c.starts)
			_ = cmd.Process.Signal(syscall.SIGTERM)
			kill = time.After(endsWithin)
		case <-stop:
			stop = nil
			_ = cmd.Process.Signal(syscall.SIGTERM)
			kill = time.After(endsWithin)
		case <-kill:
			_ = cmd.Process.Kill()
		case <-ended:
			if len(said) > 0 { // both at once
				since = time.Now()
			}
			if !since.IsZero() {
				served = max(time.Since(since), 1)
			}
			switch {
			case why != "":
			case log.reason != "":
				why = log.reason
			default:
				why = cmd.ProcessState.String()
			}
			return served, why, cmd.ProcessState.ExitCode()
		}
	}
}

// serves notes that the cluster answers, and whether its pages are told where to
// connect.
func (c *cluster) serves(ctx context.Context) {
	routed := false
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	if r, err := http.NewRequestWithContext(ctx, http.MethodGet, base(c.ip, c.first)+"/route", nil); err == nil {
		if resp, err := client.Do(r); err == nil {
			resp.Body.Close()
			routed = resp.StatusCode == http.StatusOK
		}
	}
	c.mu.Lock()
	c.state.Routed = routed
	if c.state.State == web.CompareRestarting {
		c.state.Restarts++
	}
	c.mu.Unlock()
	c.is(web.CompareReady, "")
}

// is notes the cluster's state.
func (c *cluster) is(state, reason string) {
	c.mu.Lock()
	c.state.State, c.state.Reason = state, reason
	c.mu.Unlock()
	c.once.Do(func() { close(c.up) })
}

func (c *cluster) snapshot() web.CompareStrategy {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// base is where a cluster's clients connect to.
func base(ip netip.Addr, port int) string {
	return "http://" + net.JoinHostPort(reachable(ip).String(), strconv.Itoa(port))
}
