// Package clustertest starts the cluster that users start, as processes of the
// built binary, and ends it with the test.
package clustertest

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/logs/logstest"
)

// Binary returns the path of the built program, built once per test process:
// with the race detector if the tests have it. SAMEDOOR_TEST_BINARY names one
// that is there already.
func Binary(t testing.TB) string {
	t.Helper()
	if p := os.Getenv("SAMEDOOR_TEST_BINARY"); p != "" {
		return p
	}
	p, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var build = sync.OnceValues(func() (string, error) {
	_, here, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(here), "..", "..")
	dir := filepath.Join(root, "bin", "test") // test processes share it: whoever comes second finds it built
	args := []string{"build"}
	if raceEnabled {
		dir += "-race"
		args = append(args, "-race")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	lock, err := os.Create(filepath.Join(dir, "lock"))
	if err != nil {
		return "", err
	}
	defer lock.Close() // and with it the lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "samedoor")
	cmd := exec.Command("go", append(args, "-o", path, "./cmd/samedoor")...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build samedoor: %w\n%s", err, out)
	}
	return path, nil
})

// A Cluster is a running `samedoor serve`.
type Cluster struct {
	URL  string // http://host:port, or https
	Addr string // host:port
	Port int    // worker port of slot 0

	t       testing.TB
	cmd     *exec.Cmd
	log     *buffer
	ended   chan struct{} // closed when the master has ended
	stopped sync.Once
}

// Start runs `samedoor serve` with args (and a public address and worker ports
// that are free, unless args choose), and waits until it is ready. At the end
// of the test it is told to stop, and must: with exit code 0 and no process
// left behind.
func Start(t testing.TB, args ...string) *Cluster {
	t.Helper()
	c := Launch(t, args...)
	c.await()
	return c
}

// Compare runs `samedoor compare` with args, in Start's way. env overrides
// variables of the environment.
func Compare(t testing.TB, env []string, args ...string) *Cluster {
	t.Helper()
	full := append([]string{"compare"}, args...)
	if !slices.Contains(args, "--addr") {
		full = append(full, "--addr", "127.0.0.1:0")
	}
	c := launch(t, env, full)
	c.await()
	return c
}

func (c *Cluster) await() {
	c.t.Helper()
	args := strings.Join(c.cmd.Args[1:], " ")
	select {
	case <-c.ended:
		c.t.Fatalf("samedoor %s ended: %s\n%s", args, c.cmd.ProcessState, c.Log())
	case <-time.After(60 * time.Second):
		c.t.Fatalf("samedoor %s is not ready\n%s", args, c.Log())
	case <-c.ready():
	}
}

// Launch is Start without waiting.
func Launch(t testing.TB, args ...string) *Cluster {
	t.Helper()
	has := func(flag string) bool {
		return slices.ContainsFunc(args, func(a string) bool { return a == flag || strings.HasPrefix(a, flag+"=") })
	}
	port := 0
	full := append([]string{"serve"}, args...)
	if !has("--addr") {
		full = append(full, "--addr", "127.0.0.1:0")
	}
	if !has("--worker-port") {
		port = Ports(t)
		full = append(full, "--worker-port", strconv.Itoa(port))
	} else {
		port, _ = strconv.Atoi(args[slices.Index(args, "--worker-port")+1])
	}
	c := launch(t, nil, full)
	c.Port = port
	return c
}

func launch(t testing.TB, env, args []string) *Cluster {
	t.Helper()
	c := &Cluster{t: t, log: newBuffer(), ended: make(chan struct{})}
	c.cmd = exec.Command(Binary(t), args...)
	c.cmd.Env = append(os.Environ(), env...)
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	// A test process that is killed takes the cluster with it: the kernel tells
	// the master when the thread that started it ends, hence one of its own.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := c.cmd.Start()
		started <- err
		if err == nil {
			_ = c.cmd.Wait()
			close(c.ended)
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return c
}

// Ended is closed when the master has ended; State tells how.
func (c *Cluster) Ended() <-chan struct{}  { return c.ended }
func (c *Cluster) State() *os.ProcessState { return c.cmd.ProcessState }
func (c *Cluster) PID() int                { return c.cmd.Process.Pid }
func (c *Cluster) Signal(s syscall.Signal) { _ = c.cmd.Process.Signal(s) }
func (c *Cluster) Log() string             { return c.log.String() }

var readyLine = regexp.MustCompile(`(?m)^ready (https?://([^/]+))/(?:page strategy=\S+ workers=\d+|compare strategies=\S+)$`)

func (c *Cluster) ready() <-chan struct{} {
	found := make(chan struct{})
	go func() {
		for {
			select {
			case <-c.log.grew:
			case <-c.ended:
				return
			}
			if m := readyLine.FindStringSubmatch(c.Log()); m != nil {
				c.URL, c.Addr = m[1], m[2]
				close(found)
				return
			}
		}
	}()
	return found
}

// Stop ends the cluster as a user does, and checks that it went well. Start
// arranges for it; a test may call it earlier.
func (c *Cluster) Stop() {
	c.stopped.Do(func() {
		c.t.Helper()
		defer func() {
			_ = syscall.Kill(-c.PID(), syscall.SIGKILL) // whatever is left
			if strings.Contains(c.Log(), "DATA RACE") || strings.Contains(c.Log(), "panic:") {
				c.t.Errorf("the log tells of a crash or a race:\n%s", c.Log())
			} else if c.t.Failed() {
				c.t.Logf("log:\n%s", tail(c.Log(), 60))
			}
		}()
		select {
		case <-c.ended: // the test has ended it
			return
		default:
		}
		c.Signal(syscall.SIGTERM)
		select {
		case <-c.ended:
		case <-time.After(5 * time.Second):
			c.t.Errorf("the master did not stop within 5 s")
			return
		}
		if code := c.State().ExitCode(); code != 0 {
			c.t.Errorf("the master stopped with exit code %d", code)
		}
		if left := c.Group(); len(left) > 0 {
			c.t.Errorf("left running: %v", left)
		}
	})
}

// Group lists the processes of the cluster that are alive: `pid command`.
func (c *Cluster) Group() (alive []string) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		if f := Stat(pid); f != nil && f[2] == strconv.Itoa(c.PID()) { // state ppid pgrp …
			line, _ := os.ReadFile(dir + "/cmdline")
			alive = append(alive, fmt.Sprintf("%d %s", pid, strings.ReplaceAll(string(line), "\x00", " ")))
		}
	}
	return alive
}

// Serving returns the pid of a compared strategy's `samedoor serve`; a test
// fails if there is none.
func (c *Cluster) Serving(strategy string) int {
	c.t.Helper()
	for _, p := range c.Group() {
		if strings.Contains(p, " serve --strategy "+strategy+" ") {
			pid, _ := strconv.Atoi(strings.Fields(p)[0])
			return pid
		}
	}
	c.t.Fatalf("no process serves %s: %v", strategy, c.Group())
	return 0
}

// Status is what /cluster answers.
type Status struct {
	Strategy, Engine string
	Workers          []struct {
		Slot, PID, Port, Restarts, Sessions, Sockets int
		Refused, Forwarded                           int
		ID, State                                    string
	}
	Since    int64
	Warnings []string
}

// Status asks for it; a test fails if it is not answered.
func (c *Cluster) Status() (s Status) {
	c.t.Helper()
	if err := c.Get("/cluster", &s); err != nil {
		c.t.Fatal(err)
	}
	return s
}

// Get reads a JSON answer over a connection of its own.
func (c *Cluster) Get(path string, into any) error {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: Anyone}}
	resp, err := client.Get(c.URL + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// Anyone takes whatever certificate is shown.
var Anyone = &tls.Config{InsecureSkipVerify: true}

// Worker returns the pid of a slot's process.
func (c *Cluster) Worker(slot int) int { return c.Status().Workers[slot].PID }

// Scale runs `samedoor scale n`, and returns what it says and its exit code.
func (c *Cluster) Scale(n int) (said string, code int) {
	c.t.Helper()
	cmd := exec.Command(Binary(c.t), "scale", strconv.Itoa(n), "--addr", c.Addr)
	b, err := cmd.CombinedOutput()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		c.t.Fatal(err)
	}
	return strings.TrimSpace(string(b)), cmd.ProcessState.ExitCode()
}

// Until polls a condition for at most limit.
func Until(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// Ports returns the first of 16 ports that no other test uses: the claim is an
// abstract unix socket, which ends with the process.
func Ports(t testing.TB) int {
	for range 200 {
		base := 20000 + 16*rand.IntN(750) // below the ports that clients are given
		claim, err := net.Listen("unix", "@samedoor-test-"+strconv.Itoa(base))
		if err != nil {
			continue
		}
		free := true
		for p := base; p < base+16 && free; p++ {
			l, err := net.Listen("tcp", ":"+strconv.Itoa(p))
			if free = err == nil; free {
				l.Close()
			}
		}
		if !free {
			claim.Close()
			continue
		}
		t.Cleanup(func() { claim.Close() })
		return base
	}
	t.Fatal("no free ports")
	return 0
}

// buffer collects the output and tells when it grows.
type buffer struct {
	logstest.Buffer
	grew chan struct{}
}

func newBuffer() *buffer { return &buffer{grew: make(chan struct{}, 1)} }

func (b *buffer) Write(p []byte) (int, error) {
	n, err := b.Buffer.Write(p)
	select {
	case b.grew <- struct{}{}:
	default:
	}
	return n, err
}

func tail(s string, n int) string {
	var lines []string
	for sc := bufio.NewScanner(strings.NewReader(s)); sc.Scan(); {
		lines = append(lines, sc.Text())
	}
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
