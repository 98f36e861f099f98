// Package master is the process that opens the public address, starts a worker
// in every slot, and starts them again.
package master

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/samedoor/samedoor/internal/bus"
	"github.com/samedoor/samedoor/internal/cert"
	"github.com/samedoor/samedoor/internal/control"
	"github.com/samedoor/samedoor/internal/session"
	"github.com/samedoor/samedoor/internal/worker"
	"github.com/samedoor/samedoor/strategies"
)

// Config is what `samedoor serve` was asked for.
type Config struct {
	Strategy     strategies.Info
	Workers      int
	Addr         string
	WorkerPort   int
	Redis        string // URL; empty: an embedded bus
	PeerAddr     string // host:port of slot 0 for other hosts, or empty
	Engine       string
	Strict       bool
	Hash         string
	HashFunc     strategies.PickFunc // what Hash names
	Demo         bool                // pages may order kills and restarts
	NginxMethod  string
	Origins      []string
	TrustProxies []string // CIDRs
	TLS          cert.Files
	MaxRestarts  int
	RestartDelay time.Duration
	Rate         float64
	LogFormat    string
}

// A Master runs one cluster. Make it with New, then Run it.
type Master struct {
	Config
	log      *slog.Logger
	dir      *runDir
	boot     control.Boot // what all workers are told
	strategy strategies.Strategy
	public   netip.AddrPort
	loads    loads
	tls      *terminator // nil without; guarded by mu once workers run
	running  sync.WaitGroup
	up       chan struct{} // closed when the cluster is ready
	changing chan struct{} // holds one while workers are replaced, added or taken away

	mu        sync.Mutex // guards the following
	cluster   control.Cluster
	sockets   [][]*os.File // by slot, as the following
	peers     []*os.File   // where other hosts forward to, if anywhere
	slots     []*slot
	processes []*process    // nil where there is none
	changed   chan struct{} // closed when cluster changes
	moved     chan struct{} // closed when its live slots change
	served    chan struct{} // closed when its serving slots change
}

// Run opens the public address (a [worker.StartError] says why it can't), starts the workers, and writes the line
// `ready http://…` to out once they serve. It returns when ctx is done (nil) or
// when the cluster can't start or go on.
func Run(ctx context.Context, c Config, reload <-chan os.Signal, out io.Writer, log *slog.Logger) error {
	m := &Master{
		Config: c, log: log, up: make(chan struct{}), changing: make(chan struct{}, 1),
		changed: make(chan struct{}), moved: make(chan struct{}), served: make(chan struct{}),
	}
	if err := m.open(); err != nil {
		return worker.StartError{Err: err}
	}
	defer m.dir.remove()
	url, closeBus, err := m.openBus(ctx)
	if err != nil {
		return worker.StartError{Err: err}
	}
	defer closeBus()
	m.boot.Bus, m.boot.Shared = url, c.Redis != ""

	if err := m.openTLS(); err != nil {
		return worker.StartError{Err: err}
	}
	if err := m.openSockets(); err != nil {
		return worker.StartError{Err: err}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	commands := m.listen()
	m.running.Go(func() {
		if err := m.strategy.Front(ctx); err != nil {
			cancel(fmt.Errorf("strategy %s: %w", c.Strategy.Name, err))
		}
	})
	m.start(ctx, m.all())
	m.running.Go(func() { m.watch(ctx, cancel, out) })
	m.running.Go(func() { m.reload(ctx, reload) })
	m.running.Go(func() { m.obey(ctx, commands) })
	if m.tls != nil {
		m.running.Go(func() { m.keepCertificate(ctx) })
		m.running.Go(func() { m.keepTickets(ctx) })
	}
	m.running.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// open makes this run's private directory and what follows from the Config.
func (m *Master) open() (err error) {
	if m.dir, err = makeRunDir(); err != nil {
		return err
	}
	m.boot = control.Boot{
		Strategy: m.Strategy.Name, Engine: m.Engine, Addr: m.Addr, Host: worker.RandomName(), WorkerPort: m.WorkerPort, Dir: m.dir.path,
		Strict: m.Strict, Hash: m.Hash, NginxMethod: m.NginxMethod, FrontSecret: rand.Text(), Secret: rand.Text(),
		Origins: m.Origins, TrustProxies: m.TrustProxies, Rate: m.Rate, LogFormat: m.LogFormat,
	}
	if m.Demo {
		m.boot.DemoToken = rand.Text()
	}
	m.cluster.Since = time.Now().UnixMilli()
	m.add(m.Workers, control.Starting)
	return nil
}

func (m *Master) idOf(slot int) string { return strconv.Itoa(slot) + "-" + m.boot.Host }

// openBus returns the URL that workers reach the bus by.
func (m *Master) openBus(ctx context.Context) (url string, closer func(), err error) {
	if m.Redis == "" {
		e, err := bus.StartEmbedded()
		if err != nil {
			return "", nil, err
		}
		return e.URL(), e.Close, nil
	}
	return m.Redis, func() {}, worker.CheckBus(ctx, m.Redis)
}

func (m *Master) openSockets() (err error) {
	proxies, err := strategies.ParseProxies(m.TrustProxies)
	if err != nil {
		return err
	}
	c := strategies.Config{
		Addr: m.Addr, WorkerPort: m.WorkerPort, Strict: m.Strict, Hash: m.HashFunc, NginxMethod: m.NginxMethod,
		FrontSecret: m.boot.FrontSecret, Proxies: proxies, Dir: m.dir.path, Live: m.live, Serving: m.serving,
		Load: m.loads.of, Owner: m.owner, Log: m.log,
	}
	if m.tls != nil {
		c.Certificate = m.certificate
	}
	m.strategy = m.Strategy.New(c)
	m.boot.PeerFile = m.PeerAddr != ""
	m.public, err = m.resize(m.Workers)
	if errors.As(err, new(peerError)) {
		return err
	}
	if used := new(strategies.InUseError); errors.As(err, &used) {
		flag := "--worker-port"
		if used.Addr == m.Addr {
			flag = "--addr"
		}
		return fmt.Errorf("%w: stop what listens there, or choose another with %s", used, flag)
	}
	if op := new(net.OpError); errors.As(err, &op) {
		if errors.Is(op, os.ErrPermission) {
			return fmt.Errorf("%w: ports below 1024 are root's; choose a higher one, or allow them by setcap cap_net_bind_service=+ep on this program's file", err)
		}
		return fmt.Errorf("%w: choose an address of this machine with --addr", err)
	}
	if err != nil {
		return err
	}
	if caveat := m.Strategy.Caveat; caveat != nil && caveat(c) != "" {
		m.log.Warn(caveat(c))
	}
	m.boot.Public = m.public.String()
	return nil
}

// resize opens what n slots need, and closes what more had: the strategy's
// sockets, and where other hosts' workers forward to. Like all sockets these are
// the master's, so that a successor has its predecessor's.
func (m *Master) resize(n int) (public netip.AddrPort, err error) {
	public, sockets, err := m.strategy.Sockets(n)
	if err != nil {
		return public, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sockets = sockets
	for slot := len(m.peers); slot < n && m.PeerAddr != ""; slot++ {
		f, err := worker.OpenPeer(worker.PeerAddrOf(m.PeerAddr, slot))
		if err != nil {
			return public, peerError{err}
		}
		m.peers = append(m.peers, f)
	}
	for len(m.peers) > n {
		m.peers[len(m.peers)-1].Close()
		m.peers = m.peers[:len(m.peers)-1]
	}
	return public, nil
}

// A peerError is about --peer-addr, and says so.
type peerError struct{ error }

// socketsOf are what the worker of a slot inherits.
func (m *Master) socketsOf(slot int) []*os.File {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.peers == nil {
		return m.sockets[slot]
	}
	return append(slices.Clone(m.sockets[slot]), m.peers[slot])
}

// bootOf is what the next worker of a slot is told.
func (m *Master) bootOf(slot int) control.Boot {
	b := m.boot
	b.Slot, b.ID, b.Sockets = slot, m.idOf(slot), len(m.socketsOf(slot))
	m.mu.Lock()
	b.TLS = m.workersTLS()
	m.mu.Unlock()
	b.PeerAddr = worker.PeerAddrOf(m.PeerAddr, slot)
	return b
}

// set changes what is known of a slot's process, and tells everybody. What
// becomes of the slot, once it joins or leaves, is not its process's to say.
func (m *Master) set(slot int, change func(*control.Worker)) {
	m.update(func() {
		w := &m.cluster.Workers[slot]
		was := w.State
		if change(w); was == control.Joining || was == control.Leaving {
			w.State = was
		}
	})
}

// update changes what is known of the cluster, with mu locked, and tells everybody.
func (m *Master) update(change func()) {
	m.mu.Lock()
	m.cluster.Version++
	live, serving := m.cluster.Live(), m.cluster.Serving()
	m.cluster.Workers = slices.Clone(m.cluster.Workers) // snapshots stay as they were
	change()
	if !slices.Equal(live, m.cluster.Live()) {
		close(m.moved)
		m.moved = make(chan struct{})
	}
	if !slices.Equal(serving, m.cluster.Serving()) {
		close(m.served)
		m.served = make(chan struct{})
	}
	c, tell := m.cluster, slices.Clone(m.processes)
	close(m.changed)
	m.changed = make(chan struct{})
	m.mu.Unlock()
	for _, p := range tell {
		if p != nil {
			p.tell(c)
		}
	}
}

// attach notes which process is in a slot.
func (m *Master) attach(slot int, p *process) {
	m.mu.Lock()
	m.processes[slot] = p
	now := m.workersTLS()
	m.mu.Unlock()
	if p != nil {
		if now != nil { // it may have changed since bootOf
			p.send(control.Message{TLS: now})
		}
		m.set(slot, func(w *control.Worker) { w.PID, w.State = p.Pid, control.Starting })
	}
}

// owner returns the slot that a sid names. Where others share the bus, it names
// a worker, and only ours are in a slot here.
func (m *Master) owner(sid string) (slot int, ok bool) {
	name, _, ok := session.Split(sid)
	if !ok {
		return 0, false
	}
	slot, ok = session.Slot(name)
	return slot, ok && (!m.boot.Shared || name == m.idOf(slot))
}

func (m *Master) snapshot() control.Cluster {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cluster
}

func (m *Master) watchable() (control.Cluster, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cluster, m.changed
}

func (m *Master) serving() ([]int, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cluster.Serving(), m.served
}

func (m *Master) live() ([]int, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cluster.Live(), m.moved
}
