// Package worker is one worker process: it serves the page and Socket.IO, holds
// sessions, and lets the strategy say what becomes of strangers.
package worker

import (
	"context"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/samedoor/samedoor/internal/bus"
	"github.com/samedoor/samedoor/internal/chat"
	"github.com/samedoor/samedoor/internal/control"
	"github.com/samedoor/samedoor/internal/handover"
	"github.com/samedoor/samedoor/internal/trace"
	"github.com/samedoor/samedoor/strategies"
	"github.com/samedoor/samedoor/web"
)

// Headers between workers and to clients.
const (
	workerHeader = "X-Samedoor-Worker" // slot of the worker that answered
	viaHeader    = "X-Samedoor-Via"    // slot of the worker that forwarded
	clientHeader = "X-Samedoor-Client" // host:port of the true client, between workers
	secretHeader = "X-Samedoor-Secret" // lets a forwarding worker in
)

// A Worker serves one slot. Make it with New, then Run it.
type Worker struct {
	boot    control.Boot
	info    strategies.Info
	log     *slog.Logger
	name    string // what its sids begin with
	origins origins
	trusted strategies.Proxies
	hash    strategies.PickFunc
	tls     *terminator // nil: plain HTTP
	clash   sync.Once   // logs that two headers disagree

	strategy strategies.Strategy
	stranger http.Handler // what the strategy does with one
	refusal  http.Handler // recorded
	engine   engine
	peers    *peers
	handed   *handover.Listener // connections from the other workers of this run; nil if alone
	ring     *trace.Ring
	bus      *bus.Bus
	registry *bus.Registry
	hub      *chat.Hub
	site     http.Handler
	master   func(control.Order) error // tells it; nil without one

	touched            chan struct{}   // holds one when there may be news for the master
	accepting          context.Context // done when others take what still comes
	stopAccepting      context.CancelFunc
	draining           atomic.Bool
	opening            sync.RWMutex // held for reading while a session is opened
	refused, forwarded atomic.Int64
	sockets            atomic.Int64 // connected, in all namespaces

	mu      sync.Mutex // guards the following
	cluster control.Cluster
	changed chan struct{} // closed when the live slots change
}

// ringSize is how many requests the worker remembers: some hundred sessions'.
const ringSize = 8192

// New returns the worker that boot describes, with the strategy of that name.
func New(boot control.Boot, info strategies.Info, log *slog.Logger) (*Worker, error) {
	hash, err := Hash(boot.Hash)
	if err != nil {
		return nil, err
	}
	trusted, err := strategies.ParseProxies(boot.TrustProxies)
	if err != nil {
		return nil, err
	}
	b, err := bus.Open(boot.Bus, log)
	if err != nil {
		return nil, err
	}
	w := &Worker{
		boot: boot, info: info, log: log, bus: b, registry: b.Registry(), trusted: trusted, hash: hash,
		name: strconv.Itoa(boot.Slot),
		ring: trace.NewRing(ringSize), changed: make(chan struct{}), touched: make(chan struct{}, 1),
	}
	w.accepting, w.stopAccepting = context.WithCancel(context.Background())
	if boot.Shared {
		w.name = boot.ID
	}
	if boot.TLS != nil {
		if w.tls, err = newTerminator(*boot.TLS); err != nil {
			return nil, err
		}
	}
	w.origins = origins{listed: boot.Origins, ports: w.ownPorts, https: boot.HTTPS}
	w.strategy = info.New(strategies.Config{
		Addr: boot.Public, WorkerPort: boot.WorkerPort, Strict: boot.Strict, Hash: hash,
		NginxMethod: boot.NginxMethod, FrontSecret: boot.FrontSecret, Live: w.live, Log: log,
	})
	w.hub = chat.NewHub(chat.Options{
		Bus: b, WorkerID: boot.ID, Slot: boot.Slot, Strategy: info.Name, Rate: boot.Rate, Log: log,
	})
	w.engine = newNative(w)
	if boot.Engine == Library {
		w.engine = newLibrary(w)
	}
	w.peers = newPeers(w)
	w.refusal = w.recorded(http.HandlerFunc(w.refuse))
	w.stranger = w.strategy.Route(strategies.Worker{
		Refuse:     w.refusal,
		Neighbours: w.peers.forwarder(w.peers.neighbour),
		Registry:   w.peers.forwarder(w.peers.registered),
	})
	w.site = (&web.Site{
		Strategy: info, Slot: boot.Slot, WorkerPort: boot.WorkerPort,
		Workers: func() int { return len(w.snapshot().Workers) },
		Page:    w.strategy.Page, Cluster: w.describe, Trace: w.collect,
		DemoToken: w.demoToken, Demo: w.demo(),
		Draining: w.draining.Load, Share: w.origins.share, SocketIO: http.HandlerFunc(w.serveSocketIO), Log: log,
	}).Handler()
	return w, nil
}

// Hash returns the hash that --hash names.
func Hash(name string) (strategies.PickFunc, error) {
	switch name {
	case "rendezvous":
		return strategies.Slot, nil
	case "digits":
		return strategies.Digits, nil
	}
	return nil, errors.New("unknown hash " + strconv.Quote(name) + ": choose rendezvous or digits")
}

// Run serves the public listeners, and those for other workers (elsewhere is
// for other hosts', and may be nil), until ctx is done, then says goodbye to the
// clients. up is called once the worker serves.
func (w *Worker) Run(ctx context.Context, public []net.Listener, elsewhere net.Listener, up func()) error {
	defer w.bus.Close()
	if w.boot.Dir != "" {
		var err error
		if w.handed, err = handover.Listen(handoverSocket(w.boot.Dir, w.boot.Slot)); err != nil {
			return err
		}
	}
	var peer []net.Listener
	if elsewhere != nil {
		peer = append(peer, elsewhere)
	}
	if w.boot.Dir != "" {
		l, err := w.listenNeighbours()
		if err != nil {
			return err
		}
		peer = append(peer, l)
	}
	// Nobody must meet a sid of a worker that the registry does not know. Without
	// a bus there is no registry to know it; Register goes on trying.
	_ = w.bus.Announce(ctx, w.registration())
	g, ctx := errgroup.WithContext(ctx)
	serve := func(s *http.Server, from ...net.Listener) {
		for _, l := range from {
			g.Go(func() error {
				err := s.Serve(l)
				if errors.Is(err, http.ErrServerClosed) || ctx.Err() != nil || errors.Is(err, net.ErrClosed) && w.accepting.Err() != nil {
					return nil
				}
				return err
			})
		}
		g.Go(func() error {
			<-ctx.Done()
			grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			for _, l := range from {
				if l == w.handed {
					w.handed.Drain(grace.Done())
					continue
				}
				l.Close() // what comes from now on waits for the successor
			}
			w.drain()
			if err := s.Shutdown(grace); err != nil {
				return s.Close()
			}
			return nil
		})
	}
	clients := w.server(w.fromClients(w.site))
	clients.SetKeepAlivesEnabled(!w.boot.Strict || !w.info.PerConnection)
	clients.ConnContext = withConn
	clients.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			w.touch()
		}
	}
	for i, l := range public {
		l = w.tls.listener(w.trusted.Listener(l))
		public[i] = l
		defer context.AfterFunc(w.accepting, func() { l.Close() })() // at once, if it leaves before it has begun
	}
	if w.handed != nil {
		public = append(public, w.handed)
	}
	serve(clients, public...)
	for _, l := range peer {
		s := w.server(w.fromPeers(w.site))
		s.IdleTimeout = 0 // the forwarder closes idle connections: it then never sends on one that is being closed
		serve(s, l)
	}
	g.Go(func() error { return ignoreDone(ctx, w.hub.Run(ctx)) })
	g.Go(func() error { return ignoreDone(ctx, w.bus.Register(ctx, w.registration())) })
	up()
	err := g.Wait()
	w.peers.close()
	return err
}

// drain ends all sessions, whose held polls Shutdown would wait for. Sessions
// that are just being opened are answered first, later ones refused.
func (w *Worker) drain() {
	w.stopOpening()
	w.engine.close()
}

func ignoreDone(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// server bounds what slow clients may hold; longer polls extend it themselves.
func (w *Worker) server(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       75 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          discard,
	}
}

// registration is what the registry tells other hosts of this worker.
func (w *Worker) registration() bus.Worker {
	addr := w.boot.PeerAddr
	if addr == "" && w.boot.Dir != "" {
		addr = "unix:" + peerSocket(w.boot.Dir, w.boot.Slot)
	}
	return bus.Worker{
		ID: w.boot.ID, Slot: w.boot.Slot, Host: w.boot.Host, Addr: addr, Secret: w.boot.Secret,
		PID: pid, Port: w.port(), Strategy: w.info.Name, Lasting: w.boot.Dir != "",
	}
}

// port is the number that the worker is named by.
func (w *Worker) port() int { return w.boot.WorkerPort + w.boot.Slot }

// ownPorts are those of this cluster on this host: its pages may connect
// across them.
func (w *Worker) ownPorts() []int {
	ports := []int{w.port()}
	if a, err := netip.ParseAddrPort(w.boot.Public); err == nil {
		ports = append(ports, int(a.Port()))
	}
	for _, o := range w.snapshot().Workers {
		ports = append(ports, o.Port)
	}
	return ports
}

// SetCluster tells the worker of a change in its cluster.
func (w *Worker) SetCluster(c control.Cluster) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.Version < w.cluster.Version {
		return
	}
	moved := !slices.Equal(w.cluster.Live(), c.Live())
	if w.cluster = c; moved {
		close(w.changed)
		w.changed = make(chan struct{})
	}
}

func (w *Worker) snapshot() control.Cluster {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cluster
}

func (w *Worker) live() ([]int, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cluster.Live(), w.changed
}

func secretsEqual(a, b string) bool {
	return a != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}
