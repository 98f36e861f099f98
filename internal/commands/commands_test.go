package commands

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// room gives a test directories of its own, with short paths.
func room(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "sd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Setenv("TMPDIR", dir)
	return dir
}

// master answers at addr until the test ends.
func master(t *testing.T, addr string, handle func(context.Context, Request) Answer) (stop func()) {
	t.Helper()
	l, err := Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); Serve(ctx, l, handle) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

func double(_ context.Context, r Request) Answer { return Answer{Was: r.Scale, Now: 2 * r.Scale} }

func TestAsk(t *testing.T) {
	dir := room(t)
	stop := master(t, "127.0.0.1:8080", double)
	path, err := Find("")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, filepath.Dir(path)} {
		if i, err := os.Stat(p); err != nil || i.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v %v", p, i.Mode(), err)
		}
	}
	if a, err := Ask(path, Request{Scale: 3}); err != nil || a != (Answer{Was: 3, Now: 6}) {
		t.Errorf("%+v %v", a, err)
	}
	c, err := net.Dial("unix", path) // no request at all
	if err != nil {
		t.Fatal(err)
	}
	_, _ = c.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("an answer to what is no request: %d %v", n, err)
	}
	c.Close()
	stop()
	if left, _ := filepath.Glob(filepath.Join(dir, "*", "*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if _, err := Find(""); !errors.Is(err, ErrNone) {
		t.Errorf("with none left: %v", err)
	}
}

// TestAskerLeaves: who waits for its turn is not served when it has gone.
func TestAskerLeaves(t *testing.T) {
	room(t)
	left := make(chan struct{})
	master(t, "127.0.0.1:8080", func(ctx context.Context, _ Request) Answer {
		<-ctx.Done()
		close(left)
		return Answer{}
	})
	path, err := Find("")
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = c.Write([]byte(`{"scale":4}` + "\n"))
	c.Close()
	select {
	case <-left:
	case <-time.After(10 * time.Second):
		t.Error("the asker's end was not noticed")
	}
}

func TestSeveral(t *testing.T) {
	room(t)
	master(t, "127.0.0.1:8080", double)
	master(t, "0.0.0.0:9090", double)
	master(t, "[::1]:8080", double)
	if _, err := Find(""); err == nil || !strings.Contains(err.Error(), "0.0.0.0:9090, 127.0.0.1:8080, [::1]:8080") || !strings.Contains(err.Error(), "--addr") {
		t.Errorf("several: %v", err)
	}
	for addr, want := range map[string]string{
		"127.0.0.1:8080": "127.0.0.1:8080", "127.0.0.1:0": "", "[::1]:8080": "[::1]:8080", ":9090": "0.0.0.0:9090",
		"localhost:9090": "0.0.0.0:9090", "192.0.2.1:9090": "0.0.0.0:9090", "[::1]:0": "", "127.0.0.2:8080": "none", "127.0.0.1:1": "none",
	} {
		path, err := Find(addr)
		switch {
		case want == "none" && (err == nil || !strings.Contains(err.Error(), "no samedoor serve is running at "+addr)):
			t.Errorf("%s: %s %v", addr, path, err)
		case want == "" && (err == nil || !strings.Contains(err.Error(), "several")):
			t.Errorf("%s: %s %v", addr, path, err)
		case want != "none" && want != "" && strings.TrimSuffix(filepath.Base(path), ".sock") != want:
			t.Errorf("%s: %s %v, want %s", addr, path, err, want)
		}
	}
	if l, err := Listen("127.0.0.1:8080"); err == nil {
		l.Close()
		t.Error("two masters have one address")
	}
}

// TestStale: what a killed master left is removed, and its place taken.
func TestStale(t *testing.T) {
	dir := room(t)
	stale := func() string {
		l, err := Listen("127.0.0.1:8080")
		if err != nil {
			t.Fatal(err)
		}
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		l.Close()
		path := filepath.Join(dir, "samedoor", "127.0.0.1:8080.sock")
		if _, err := os.Lstat(path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	path := stale()
	if _, err := Find(""); !errors.Is(err, ErrNone) {
		t.Errorf("a dead one: %v", err)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("what it left is still there")
	}
	stale()
	master(t, "127.0.0.1:8080", double)
	if _, err := Find(""); err != nil {
		t.Errorf("its successor: %v", err)
	}
}

// TestForeignDirectory: a directory that others may enter is not ours.
func TestForeignDirectory(t *testing.T) {
	dir := room(t)
	if err := os.Mkdir(filepath.Join(dir, "samedoor"), 0o777); err != nil {
		t.Fatal(err)
	}
	_ = os.Chmod(filepath.Join(dir, "samedoor"), 0o777)
	l, err := Listen("127.0.0.1:8080")
	if err != nil {
		t.Fatal(err) // another place is found
	}
	defer l.Close()
	if at := l.Addr().String(); strings.HasPrefix(at, filepath.Join(dir, "samedoor")+"/") {
		t.Errorf("it listens at %s", at)
	}
	if _, err := Find("127.0.0.1:8080"); err != nil {
		t.Error(err)
	}
}
