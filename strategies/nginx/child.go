package nginx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A child is one run of nginx: its master process and, in a process group of
// their own, the processes that nginx starts itself.
//
// nginx 1.22 can do without the latter (master_process off), but then crashes
// on inherited sockets and cannot reload.
type child struct {
	cmd    *exec.Cmd
	pid    int
	up     string        // path of nginx's pid file: there once it understands signals
	exited chan struct{} // closed when nothing is left of it; what follows is then set
	err    error
	said   string // its last words
}

func confFile(dir string) string { return filepath.Join(dir, "nginx.conf") }

// startChild starts nginx on a socket that listens already. It must be called
// on a locked thread that outlives the child.
func startChild(binary, dir string, public *os.File, log *slog.Logger) (*child, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	c := &child{up: filepath.Join(dir, "nginx.pid"), exited: make(chan struct{})}
	if err := os.Remove(c.up); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	out := &lines{log: log}
	c.cmd = exec.Command(binary, "-p", dir, "-e", "stderr", "-c", confFile(dir))
	c.cmd.Env = []string{"NGINX=3;"} // and nothing else: ours may hold the password of Redis
	// ExtraFiles leaves the socket non-blocking, as nginx needs it, because
	// strategies.OpenTCP made the file from a descriptor that already was.
	c.cmd.ExtraFiles = []*os.File{public}
	c.cmd.Stderr = out
	c.cmd.WaitDelay = time.Second
	c.cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:   true,
		Pdeathsig: syscall.SIGTERM, // not SIGKILL: nginx has to end its own children
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start nginx: %w", err)
	}
	c.pid = c.cmd.Process.Pid
	go c.wait(out)
	return c, nil
}

// wait reaps nginx, and takes care of what a killed one leaves behind: its
// children would go on serving, with nobody to stop them.
func (c *child) wait(out *lines) {
	defer close(c.exited)
	for unix.Waitid(unix.P_PID, c.pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	// Not reaped yet: the number is still nginx's, and so is the group.
	_ = unix.Kill(-c.pid, unix.SIGKILL)
	if c.err = c.cmd.Wait(); c.err == nil {
		c.err = errors.New("exit status 0")
	}
	c.said = out.last
}

// ready returns when nginx serves and understands signals (one that came
// earlier would end it), or has ended; with an error when it gave up itself.
func (c *child) ready(ctx context.Context) error {
	for {
		if _, err := os.Stat(c.up); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-c.exited:
			if c.cmd.ProcessState.ExitCode() <= 0 { // somebody ended it
				return nil
			}
			return fmt.Errorf("%s (%w)", c.said, c.err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// reload makes nginx read its configuration again. Connections that it has go
// on as they are.
func (c *child) reload() { _ = c.cmd.Process.Signal(syscall.SIGHUP) }

// stop ends nginx: first letting requests end, then not; within 2 s and a bit.
func (c *child) stop() {
	for _, sig := range []os.Signal{syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGKILL} {
		_ = c.cmd.Process.Signal(sig)
		select {
		case <-c.exited:
			return
		case <-time.After(time.Second):
		}
	}
	<-c.exited
}

// backoff is how long to wait before nginx is started again: not at all when
// it had been well, then longer and longer, so that it is never a busy loop.
type backoff struct {
	runs int
	last time.Duration
}

const (
	shortest = 100 * time.Millisecond
	longest  = 2 * time.Second
	well     = 10 * time.Second // a run that proves the one before it an accident
)

func (b *backoff) next(ran time.Duration) time.Duration {
	b.runs++
	switch {
	case ran >= well || b.runs == 1:
		b.last = 0
	case b.last == 0:
		b.last = shortest
	default:
		b.last = min(2*b.last, longest)
	}
	return b.last
}

// lines logs what nginx writes to standard error, a record for each line.
type lines struct {
	log  *slog.Logger
	part []byte // of a line not yet ended
	last string // what nginx said last: why it ended
}

// "2006/01/02 15:04:05 [emerg] 12#12: text" or "nginx: [emerg] text".
var line = regexp.MustCompile(`^(?:\S+ \S+ |nginx: )\[(\w+)\] (?:\d+#\d+: )?(.*)$`)

func (l *lines) Write(p []byte) (int, error) {
	l.part = append(l.part, p...)
	for {
		text, rest, ok := bytes.Cut(l.part, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		l.part = rest
		l.record(string(text))
	}
}

func (l *lines) record(text string) {
	level := slog.LevelError
	if m := line.FindStringSubmatch(text); m != nil {
		text = m[2]
		switch m[1] {
		case "warn":
			level = slog.LevelWarn
		case "notice", "info", "debug": // before it has read its configuration
			return
		}
	}
	// Alerts of a process that was told to end while it had connections.
	if strings.Contains(text, "open socket #") || text == "aborting" || text == "" {
		return
	}
	l.last = text
	l.log.Log(context.Background(), level, "nginx: "+text)
}
