// Package compare runs strategies side by side, each a cluster of its own, and
// sends the same handshakes through all of them: the browser's, by its page, and
// those of many clients, by itself.
package compare

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/samedoor/samedoor/internal/worker"
	"github.com/samedoor/samedoor/strategies"
	"github.com/samedoor/samedoor/web"
)

// A Strategy is one to compare.
type Strategy struct {
	Name, Doc string
	Args      []string // further flags for `samedoor serve`
	Control   bool     // fails by design: what the others are measured against
	Wanted    bool     // was asked for by name, so that it must be able to run
}

// Config is what `samedoor compare` was asked for.
type Config struct {
	Binary     string // path of samedoor
	Version    string // of it, for the results
	Addr       string // of the page, host:port
	BasePort   int    // where the clusters' ports begin; 0: wherever some are free
	Workers    int    // of each cluster
	Clients    int    // of a run, from each of which a handshake comes
	Strategies []Strategy
}

// MaxClients is how many clients a run may have: as many have an address.
const MaxClients = 200

// A Comparison is a page and the clusters it speaks of. Make it with Open, then
// Serve it.
type Comparison struct {
	Config
	log      *slog.Logger
	listener net.Listener
	public   netip.AddrPort // of the page
	hosts    []string       // what browsers may call it
	clusters []*cluster
	runs     sync.WaitGroup // begun by the page

	mu   sync.Mutex // guards the following
	run  web.CompareRun
	stop context.CancelFunc // ends the run under way
	last *Results
}

// Open opens the page's address; a [worker.StartError] says why it can't.
func Open(c Config, log *slog.Logger) (*Comparison, error) {
	f, public, err := strategies.OpenTCP(c.Addr)
	if used := new(strategies.InUseError); errors.As(err, &used) {
		return nil, worker.StartError{Err: fmt.Errorf("%w: stop what listens there, or choose another with --addr", err)}
	}
	if err != nil {
		return nil, worker.StartError{Err: fmt.Errorf("%w: choose an address of this machine with --addr", err)}
	}
	if n := len(c.Strategies) * (c.Workers + 1); c.BasePort > 0 && !free(c.BasePort, n) { // the page's own is open by now
		f.Close()
		return nil, worker.StartError{Err: fmt.Errorf("of the ports %d to %d some are in use: stop what listens there, or choose others with --base-port", c.BasePort, c.BasePort+n-1)}
	}
	l, err := strategies.Listen(f)
	if err != nil {
		return nil, err
	}
	cmp := &Comparison{Config: c, log: log, listener: l, public: public, hosts: hosts(public)}
	var origins []string
	for _, h := range cmp.hosts {
		origins = append(origins, "--origins", "http://"+h)
	}
	for i, s := range c.Strategies {
		cl := &cluster{
			Strategy: s, binary: c.Binary, log: log.With("strategy", s.Name), workers: c.Workers,
			ip: public.Addr(), delay: 5 * time.Second, starts: startsWithin, up: make(chan struct{}),
		}
		cl.Args = append(cl.Args, origins...)
		if c.BasePort > 0 {
			cl.first, cl.fixed = c.BasePort+i*(c.Workers+1), true
		}
		cl.state = web.CompareStrategy{Name: s.Name, Doc: s.Doc, Control: s.Control, State: web.CompareStarting}
		cmp.clusters = append(cmp.clusters, cl)
	}
	return cmp, nil
}

// URL is where the page is.
func (c *Comparison) URL() string { return "http://" + c.hosts[0] + "/compare" }

// Serve starts all clusters and serves the page until ctx is done; then it ends
// them, and returns nil. ready is called once each cluster serves or has told why
// it can't: with the names of those that do, and the others' reasons. If none
// does, that is a [worker.StartError].
func (c *Comparison) Serve(ctx context.Context, ready func(running, absent []string)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	site := &web.Compare{
		Workers: c.Workers, Clients: c.Clients, Hosts: c.hosts, Token: rand.Text(), State: c.State, Ports: c.ports,
		Start: func() error { return c.start(ctx) }, Stop: c.Cancel,
		Results: c.Last, Log: c.log,
	}
	server := &http.Server{
		Handler: site.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 75 * time.Second, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	var running sync.WaitGroup
	running.Go(func() {
		if err := server.Serve(c.listener); ctx.Err() == nil {
			cancel(err)
		}
	})
	for _, cl := range c.clusters {
		running.Go(func() { cl.run(ctx) })
	}
	running.Go(func() {
		for _, cl := range c.clusters {
			select {
			case <-cl.up:
			case <-ctx.Done():
				return
			}
		}
		var names, absent []string
		for _, s := range c.State().Strategies {
			if s.State == web.CompareUnavailable || s.State == web.CompareGone {
				absent = append(absent, s.Name+": "+s.Reason)
				continue
			}
			names = append(names, s.Name)
		}
		if names == nil {
			cancel(worker.StartError{Err: errors.New("no strategy can run here: " + strings.Join(absent, "; "))})
			return
		}
		ready(names, absent)
	})
	<-ctx.Done()
	_ = server.Close()
	running.Wait()
	c.runs.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// State is what the page shows of the clusters and the run.
func (c *Comparison) State() web.CompareState {
	s := web.CompareState{Strategies: []web.CompareStrategy{}}
	for _, cl := range c.clusters {
		s.Strategies = append(s.Strategies, cl.snapshot())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Run = c.run
	if c.last != nil {
		s.Results = c.last
	}
	return s
}

// Last returns the results of the last run that ended by itself, or nil.
func (c *Comparison) Last() web.CompareResults {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil {
		return nil
	}
	return c.last
}

// ports are those that the page's client connects to: where a strategy tells it
// to, the workers' own.
func (c *Comparison) ports() (all []int) {
	for _, cl := range c.clusters {
		if s := cl.snapshot(); s.Port != 0 {
			all = append(all, span(s.Port, 1+c.Workers)...)
		}
	}
	return all
}
