// Package nginx lets a real nginx choose: each worker listens on a port of its
// own, and nginx, on the public address, hashes the client's address (or reads
// the slot in the sid) and proxies to that slot.
package nginx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	conf "github.com/samedoor/samedoor/nginx"
	"github.com/samedoor/samedoor/strategies"
)

// Info declares the strategy.
var Info = strategies.Info{
	Name: "nginx",
	Doc:  "nginx picks: it hashes the client's address and proxies to that worker's own port.",
	Tradeoffs: strategies.Tradeoffs{
		NAT:      "All clients behind one address go to one worker; ip_hash takes even a whole /24 for one client.",
		IPv6:     "ip_hash takes the whole address, so a client that changes to its next privacy address changes its worker; its requests are forwarded then.",
		Resizing: "ip_hash moves most clients when a worker is added or taken away, the consistent --nginx-method hash one in N.",
		Proxies:  "A proxy in front of nginx has to be trusted by name, or all its clients are one address. --nginx-method sid looks at the session instead.",
	},
	New:     newNginx,
	EndsTLS: true,
	Caveat: func(c strategies.Config) string {
		if len(c.Proxies) == 0 {
			return ""
		}
		return "nginx believes the X-Forwarded-For of trusted proxies; Forwarded and the PROXY protocol it cannot take from some clients and not from others: let the proxies in front set X-Forwarded-For alone"
	},
}

type nginx struct {
	strategies.Config
	binary   string
	oldHTTP2 bool // it takes HTTP/2 as a parameter of listen

	mu      sync.Mutex // guards what follows: Sockets may be called while Front runs
	public  *os.File
	addr    netip.AddrPort
	own     []*os.File    // by slot: its own port. Never closed before the end, since nginx may still use it
	n       int           // slots in use, of own
	resized chan struct{} // holds one when n changed
}

func newNginx(c strategies.Config) strategies.Strategy {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &nginx{Config: c, resized: make(chan struct{}, 1)}
}

// Sockets fails when nginx is not installed, before anything is started.
func (s *nginx) Sockets(n int) (netip.AddrPort, [][]*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.binary, err = find(); err != nil {
		return netip.AddrPort{}, nil, err
	}
	s.oldHTTP2 = s.Certificate != nil && oldHTTP2(s.binary)
	if s.public == nil {
		if s.public, s.addr, err = strategies.OpenTCP(s.Addr); err != nil {
			return netip.AddrPort{}, nil, err
		}
	}
	for slot := len(s.own); slot < n; slot++ {
		f, _, err := strategies.OpenTCP(fmt.Sprintf("127.0.0.1:%d", s.WorkerPort+slot))
		if err != nil {
			return s.addr, nil, err
		}
		s.own = append(s.own, f)
	}
	if s.n = n; len(s.resized) == 0 {
		s.resized <- struct{}{}
	}
	slots := make([][]*os.File, n)
	for slot := range slots {
		slots[slot] = []*os.File{s.own[slot]}
	}
	return s.addr, slots, nil
}

// Front keeps nginx alive and its configuration true. While nginx is being
// replaced, connections wait in the public socket's backlog.
func (s *nginx) Front(ctx context.Context) error {
	defer s.close()
	ctx, cancel := context.WithCancelCause(ctx)
	relays := relays{s: s}
	defer relays.Wait()
	relays.Go(func() {
		if err := strategies.Cover(ctx, s.owned, s.Live, func(fd int, _ netip.Addr) { relays.relay(ctx, fd) }); err != nil {
			cancel(err)
		}
	})
	defer cancel(nil)
	// The kernel tells a child of its parent's death when the thread that
	// started it ends. This one lives as long as Front.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	var retry backoff
	for everUp := false; ; {
		began := time.Now()
		up, err := s.run(ctx)
		everUp = everUp || up
		switch {
		case ctx.Err() != nil:
			return ended(ctx)
		case !everUp:
			return fmt.Errorf("nginx does not start: %w", err) // nor would it the next time
		}
		delay := retry.next(time.Since(began))
		s.Log.Warn("nginx died", "error", err, "restart_in", delay)
		select {
		case <-ctx.Done():
			return ended(ctx)
		case <-time.After(delay):
		}
	}
}

// ended says why ctx is done: nil, unless something failed.
func ended(ctx context.Context) error {
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// run is the life of one nginx. It returns when nginx has ended, by itself or
// because ctx was done; up tells whether it had begun to serve.
func (s *nginx) run(ctx context.Context) (up bool, err error) {
	changed, renewed, err := s.configure()
	if err != nil {
		return false, err
	}
	c, err := startChild(s.binary, s.Dir, s.public, s.Log)
	if err != nil {
		return false, err
	}
	if err := c.ready(ctx); err != nil {
		c.stop()
		return false, err
	}
	s.Log.Info("nginx up", "nginx", c.pid)
	for {
		select {
		case <-c.exited:
			return true, c.err
		case <-ctx.Done():
			c.stop()
			return true, nil
		case <-changed:
		case <-renewed:
		case <-s.resized:
		}
		if changed, renewed, err = s.configure(); err != nil {
			c.stop()
			return true, err
		}
		c.reload()
		s.Log.Info("nginx reloaded", "nginx", c.pid)
	}
}

// configure writes the configuration for the slots that are live now, and the
// certificate of now. changed and renewed are closed when those change.
func (s *nginx) configure() (changed, renewed <-chan struct{}, err error) {
	live, changed := s.Live() // not under the lock: whoever calls Sockets may hold Live's
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.resized: // about to be done
	default:
	}
	c := conf.Config{
		Listen:       []netip.AddrPort{s.addr},
		Method:       s.NginxMethod,
		Secret:       s.FrontSecret,
		TrustProxies: s.Proxies,
		Processes:    1,
		Connections:  connections(),
		LogLevel:     "crit", // one line per event, not per request that met a dead worker
	}
	for slot := range s.n {
		c.Servers = append(c.Servers, conf.Server{
			Slot: slot,
			Addr: fmt.Sprintf("127.0.0.1:%d", s.WorkerPort+slot),
			Down: !slices.Contains(live, slot),
		})
	}
	if s.Certificate != nil {
		// A copy, and both in one file, so that nginx never meets halves that do
		// not belong together.
		var cert, key []byte
		cert, key, renewed = s.Certificate()
		c.Cert, c.Key, c.OldHTTP2 = "tls.pem", "tls.pem", s.oldHTTP2
		if err := replace(filepath.Join(s.Dir, c.Cert), slices.Concat(cert, []byte("\n"), key)); err != nil {
			return nil, nil, err
		}
	}
	text, err := conf.Render(c)
	if err != nil {
		return nil, nil, err
	}
	return changed, renewed, replace(confFile(s.Dir), text)
}

// replace writes a file whole or not at all: nginx may be reading it, for the
// change before. Secrets are in it, so it is this user's alone.
func replace(path string, text []byte) error {
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// owned are the slots' own sockets, those of slots that were taken away included.
func (s *nginx) owned() []*os.File {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.own)
}

func (s *nginx) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range append(s.own, s.public) {
		f.Close()
	}
}

// Route: strangers come when a client's address changes, and when a slot was
// given up.
func (s *nginx) Route(w strategies.Worker) http.Handler {
	if s.Strict {
		return w.Refuse
	}
	return w.Neighbours
}

func (s *nginx) Page(*http.Request) strategies.Page { return strategies.SameOrigin }

// connections is how many nginx may hold: two descriptors for each proxied
// client, within what this process may give its children.
func connections() int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil || l.Max >= 2*16384 {
		return 16384
	}
	return int(l.Max / 2)
}

// usual is where nginx often is though users' PATH does not lead there.
var usual = []string{"/usr/sbin", "/usr/local/sbin", "/usr/local/nginx/sbin", "/opt/homebrew/bin"}

// find looks in PATH alone, so that it is PATH that says which nginx is run,
// but tells where one was seen.
func find() (string, error) {
	path, err := exec.LookPath("nginx")
	if err == nil {
		return path, nil
	}
	for _, dir := range usual {
		if _, err := exec.LookPath(filepath.Join(dir, "nginx")); err == nil {
			return "", fmt.Errorf("nginx is not in PATH but in %[1]s: PATH=$PATH:%[1]s finds it (where there is none: apt-get install nginx), or choose another --strategy", dir)
		}
	}
	return "", errors.New("nginx is not installed: apt-get install nginx (Debian, Ubuntu), brew install nginx (macOS), or choose another --strategy")
}

var version = regexp.MustCompile(`nginx/1\.(\d+)\.(\d+)`)

// oldHTTP2 tells nginx before 1.25.1 from later ones, which would warn.
func oldHTTP2(binary string) bool {
	out, _ := exec.Command(binary, "-v").CombinedOutput()
	m := version.FindSubmatch(out)
	if m == nil {
		return false
	}
	minor, _ := strconv.Atoi(string(m[1]))
	patch, _ := strconv.Atoi(string(m[2]))
	return minor < 25 || minor == 25 && patch == 0
}
