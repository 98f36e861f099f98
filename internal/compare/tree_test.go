package compare

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/clustertest"
	"github.com/samedoor/samedoor/internal/worker"
	"github.com/samedoor/samedoor/web"
)

// Two clusters on ports that follow one another. The end of the test stops
// them as a user does: exit code 0, within 5 s, nothing left.
func TestTree(t *testing.T) {
	first := clustertest.Ports(t)
	c := clustertest.Compare(t, nil, "--strategies", "none,master", "--workers", "2", "--base-port", strconv.Itoa(first))
	state := func() (s web.CompareState) {
		t.Helper()
		if err := c.Get("/compare/state", &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := state()
	if len(s.Strategies) != 2 || s.Strategies[0].Port != first || s.Strategies[1].Port != first+3 || s.Strategies[1].State != web.CompareReady {
		t.Fatalf("%+v", s)
	}
	if n := len(c.Group()); n != 1+2*3 {
		t.Errorf("%d processes: %v", n, c.Group())
	}

	// One that dies is shown, and started again on its ports. Only its workers went with it.
	others := c.Serving("none")
	if err := syscall.Kill(c.Serving("master"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	clustertest.Until(t, time.Minute, "the cluster is there again", func() bool {
		s := state().Strategies[1]
		return s.State == web.CompareReady && s.Restarts == 1 && s.Port == first+3
	})
	if n := len(c.Group()); n != 1+2*3 {
		t.Errorf("%d processes: %v", n, c.Group())
	}
	if c.Serving("none") != others {
		t.Error("the other cluster was started again, too")
	}
}

// Where the comparison is killed, the clusters end by themselves, nginx too.
func TestOrphans(t *testing.T) {
	first := clustertest.Ports(t)
	c := clustertest.Compare(t, []string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin"}, "--strategies", "nginx,server,master", "--workers", "2", "--base-port", strconv.Itoa(first))
	c.Signal(syscall.SIGKILL)
	<-c.Ended()
	clustertest.Until(t, 20*time.Second, "no process is left", func() bool { return len(c.Group()) == 0 })
	clustertest.Until(t, 20*time.Second, "no port is", func() bool { return free(first, 9) })
}

// fake is a cluster whose samedoor is a shell script.
func fake(t *testing.T, script string) *cluster {
	path := filepath.Join(t.TempDir(), "samedoor")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return &cluster{
		Strategy: Strategy{Name: "fake"}, binary: path, log: slog.New(slog.DiscardHandler), workers: 1,
		ip: netip.MustParseAddr("127.0.0.1"), starts: startsWithin, up: make(chan struct{}),
	}
}

func TestCantStart(t *testing.T) {
	for name, tt := range map[string]struct{ script, state, why string }{
		"says why":        {"echo 'samedoor: no such thing: get one' >&2; exit 2", web.CompareUnavailable, "no such thing: get one"},
		"says nothing":    {"exit 3", web.CompareGone, "exit status 3"},
		"logs, then says": {`echo '{"level":"WARN","msg":"x"}' >&2; echo 'samedoor: it failed' >&2; exit 1`, web.CompareGone, "it failed"},
		"crashes":         {"kill -SEGV $$", web.CompareGone, "signal: segmentation fault"},
	} {
		t.Run(name, func(t *testing.T) {
			c := fake(t, tt.script)
			c.run(t.Context()) // returns: it is left alone
			<-c.up
			if s := c.snapshot(); s.State != tt.state || s.Reason != tt.why {
				t.Errorf("%+v, want %q, %q", s, tt.state, tt.why)
			}
		})
	}
	c := fake(t, "")
	c.binary += "-that-is-not-there"
	if c.run(t.Context()); !strings.Contains(c.snapshot().Reason, "no such file") {
		t.Errorf("%+v", c.snapshot())
	}
}

// One that hangs is ended, and is a failure.
func TestNeverReady(t *testing.T) {
	c := fake(t, "exec sleep 600")
	c.starts = 100 * time.Millisecond
	c.run(t.Context())
	if s := c.snapshot(); s.State != web.CompareGone || s.Reason != "it was not ready within 100ms" {
		t.Errorf("%+v", s)
	}
}

// Ports that are asked for must be there, the page's own counted.
func TestPortsInUse(t *testing.T) {
	first := clustertest.Ports(t)
	_, err := Open(Config{Addr: fmt.Sprintf("127.0.0.1:%d", first+2), BasePort: first, Workers: 1, Strategies: make([]Strategy, 2)}, slog.New(slog.DiscardHandler))
	if !errors.As(err, new(worker.StartError)) || !strings.Contains(err.Error(), "--base-port") {
		t.Errorf("%v", err)
	}
	if !free(first, 4) {
		t.Error("a port is left open")
	}
}

// A cluster that is never ready holds up nobody's end.
func TestStopWhileStarting(t *testing.T) {
	started := filepath.Join(t.TempDir(), "started")
	c := fake(t, "trap 'exit 0' TERM; : > "+started+"; while :; do sleep .05; done")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.run(ctx)
	}()
	clustertest.Until(t, 20*time.Second, "it starts", func() bool { _, err := os.Stat(started); return err == nil })
	cancel()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("it does not end")
	}
}

// A cluster that can't live is given up, and told of; nothing spins.
func TestGivenUp(t *testing.T) {
	runs := filepath.Join(t.TempDir(), "runs")
	c := fake(t, "echo x >> "+runs+"; echo 'ready http://x/page strategy=fake workers=1'; exit 1")
	c.delay = time.Millisecond
	c.run(t.Context())
	if s := c.snapshot(); s.State != web.CompareGone || s.Reason != "exit status 1" {
		t.Errorf("%+v", s)
	}
	b, err := os.ReadFile(runs)
	if n := strings.Count(string(b), "x"); err != nil || n != 4 {
		t.Errorf("it ran %d times, %v", n, err)
	}
}

func TestHosts(t *testing.T) {
	for addr, want := range map[string][]string{
		"127.0.0.1:8080": {"127.0.0.1:8080", "localhost:8080"},
		"[::1]:8080":     {"[::1]:8080", "localhost:8080"},
		"192.0.2.7:8080": {"192.0.2.7:8080"},
		"127.0.0.1:80":   {"127.0.0.1", "localhost"},
		"[::1]:80":       {"[::1]", "localhost"},
	} {
		if got := hosts(netip.MustParseAddrPort(addr)); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
	}
	wild := hosts(netip.MustParseAddrPort("0.0.0.0:8080"))
	if wild[0] != "127.0.0.1:8080" || !slices.Contains(wild, "localhost:8080") {
		t.Errorf("%q", wild)
	}
}

func TestSources(t *testing.T) {
	from, note := sources(netip.MustParseAddr("127.0.0.1"), 3)
	if !slices.Equal(from, []string{"127.0.1.1", "127.0.2.2", "127.0.3.3"}) || note != "" {
		t.Errorf("%q %q", from, note)
	}
	from, note = sources(netip.MustParseAddr("::1"), 3)
	if !slices.Equal(from, []string{"", "", ""}) || !strings.Contains(note, "IPv6") {
		t.Errorf("%q %q", from, note)
	}
	if _, note = sources(netip.MustParseAddr("192.0.2.7"), 3); note == "" {
		t.Error("nothing is said of clients that come from one address")
	}
}

func TestLines(t *testing.T) {
	var got []string
	l := &lines{each: func(s string) { got = append(got, s) }}
	for _, part := range []string{"a", "b\nc\n\n", strings.Repeat("x", 3*longest), "\nend"} {
		if n, err := l.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
	}
	if want := []string{"ab", "c", "", strings.Repeat("x", longest)}; !slices.Equal(got, want) {
		t.Errorf("%d lines", len(got))
	}
}
