// Package worker is one worker process: it serves the page and Socket.IO, holds
// sessions, and lets the strategy say what becomes of strangers.
//
// worker.go puts one together, run.go serves until it ends. A request passes
// clients.go (or comes from another worker), then socketio.go, which finds whose
// it is; sockets.go is what the application does with a client.
// inherit.go is a worker beneath a master, alone.go one by itself.
package worker

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/samedoor/samedoor/internal/bus"
	"github.com/samedoor/samedoor/internal/chat"
	"github.com/samedoor/samedoor/internal/control"
	"github.com/samedoor/samedoor/internal/engines"
	"github.com/samedoor/samedoor/internal/forward"
	"github.com/samedoor/samedoor/internal/origin"
	"github.com/samedoor/samedoor/internal/trace"
	"github.com/samedoor/samedoor/strategies"
	"github.com/samedoor/samedoor/web"
)

// A Worker serves one slot. Make it with New, then Run it.
type Worker struct {
	boot    control.Boot
	info    strategies.Info
	log     *slog.Logger
	origins origin.Policy
	trusted strategies.Proxies
	hash    strategies.PickFunc
	tls     *terminator // nil: plain HTTP
	clash   sync.Once   // logs that two headers disagree

	strategy strategies.Strategy
	stranger http.Handler // what the strategy does with one
	refusal  http.Handler // recorded
	engine   engines.Engine
	forward  *forward.Forwarder
	record   *trace.Recorder
	bus      *bus.Bus
	registry *bus.Registry
	hub      *chat.Hub
	site     http.Handler
	master   func(control.Order) error // tells it; nil without one

	touched       chan struct{}   // holds one when there may be news for the master
	accepting     context.Context // done when others take what still comes
	stopAccepting context.CancelFunc
	draining      atomic.Bool
	opening       sync.RWMutex // held for reading while a session is opened
	refused       atomic.Int64
	sockets       atomic.Int64 // connected, in all namespaces

	mu      sync.Mutex // guards the following
	cluster control.Cluster
	changed chan struct{} // closed when the live slots change
}

var pid = os.Getpid()

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
		changed: make(chan struct{}), touched: make(chan struct{}, 1),
	}
	w.accepting, w.stopAccepting = context.WithCancel(context.Background())
	if boot.TLS != nil {
		if w.tls, err = newTerminator(*boot.TLS); err != nil {
			return nil, err
		}
	}
	w.record = &trace.Recorder{Ring: trace.NewRing(ringSize), Slot: boot.Slot, Name: strconv.Itoa(boot.Slot), Via: forward.Via}
	if boot.Shared {
		w.record.Name = boot.ID
	}
	w.origins = origin.Policy{
		Listed: boot.Origins, Ports: w.ownPorts, HTTPS: boot.HTTPS, Expose: forward.WorkerHeader + ", " + forward.ViaHeader,
	}
	w.strategy = info.New(strategies.Config{
		Addr: boot.Public, WorkerPort: boot.WorkerPort, Strict: boot.Strict, Hash: hash,
		NginxMethod: boot.NginxMethod, FrontSecret: boot.FrontSecret, Live: w.live, Log: log,
	})
	w.hub = chat.NewHub(chat.Options{
		Bus: b, WorkerID: boot.ID, Slot: boot.Slot, Strategy: info.Name, Rate: boot.Rate, Log: log,
	})
	w.engine = engines.New(boot.Engine, engines.Options{
		Record: w.record, Namespaces: []string{"/", "/ws"}, Connected: w.connected, OnSessions: w.touch, Log: log,
	})
	w.forward = forward.New(forward.Options{
		Boot: boot, Registry: w.registry, Cluster: w.snapshot, Record: w.record,
		Refuse: w.refuse, Nudge: func(sid string) { w.engine.Nudge(sid) }, Patience: pollDeadline,
	})
	w.refusal = w.record.Handler(http.HandlerFunc(w.refuse))
	w.stranger = w.strategy.Route(strategies.Worker{
		Refuse: w.refusal, Neighbours: w.forward.ToNeighbours(), Registry: w.forward.ToRegistered(),
	})
	w.site = (&web.Site{
		Strategy: info, Slot: boot.Slot, WorkerPort: boot.WorkerPort,
		Workers: func() int { return len(w.snapshot().Workers) },
		Page:    w.strategy.Page, Cluster: w.describe, Trace: w.collect,
		DemoToken: w.demoToken, Demo: w.demo(),
		Draining: w.draining.Load, Share: w.origins.Share, SocketIO: http.HandlerFunc(w.serveSocketIO), Log: log,
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

// registration is what the registry tells other hosts of this worker.
func (w *Worker) registration() bus.Worker {
	return bus.Worker{
		ID: w.boot.ID, Slot: w.boot.Slot, Host: w.boot.Host, Addr: w.forward.Addr(), Secret: w.boot.Secret,
		PID: pid, Port: w.port(), Strategy: w.info.Name, Lasting: w.boot.Dir != "",
	}
}

// port is the number that the worker is named by.
func (w *Worker) port() int { return w.boot.WorkerPort + w.boot.Slot }
