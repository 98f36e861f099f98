package worker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/samedoor/samedoor/internal/bus"
	"github.com/samedoor/samedoor/internal/cert"
	"github.com/samedoor/samedoor/internal/control"
	"github.com/samedoor/samedoor/strategies"
)

// AloneConfig is what `samedoor worker` was asked for.
type AloneConfig struct {
	Info         strategies.Info
	Listen       string
	Slot         int
	ID           string // empty: the slot and a random part
	WorkerPort   int
	Redis        string // URL; empty: a bus of this worker's own
	PeerAddr     string // host:port of slot 0, or empty
	Engine       string
	Strict       bool
	Hash         string
	NginxMethod  string
	Origins      []string
	TrustProxies []string
	TLS          cert.Files
	Rate         float64
	LogFormat    string
}

// Alone serves one slot without a master until ctx is done: what a container
// or another host runs. It knows the others by the registry.
func Alone(ctx context.Context, c AloneConfig, log *slog.Logger) error {
	host := RandomName()
	if c.ID == "" {
		c.ID = strconv.Itoa(c.Slot) + "-" + host
	}
	url := c.Redis
	if url == "" {
		e, err := bus.StartEmbedded()
		if err != nil {
			return err
		}
		defer e.Close()
		url = e.URL()
	} else if err := CheckBus(ctx, url); err != nil {
		return StartError{Err: err}
	}
	var pair *cert.Pair
	if c.TLS.Cert != "" {
		var err error
		if pair, err = c.TLS.Load(); err != nil {
			return StartError{Err: err}
		}
		pair.Warn(log)
	}
	f, public, err := strategies.OpenTCP(c.Listen)
	if used := new(strategies.InUseError); errors.As(err, &used) {
		return StartError{Err: fmt.Errorf("%w: stop what listens there, or choose another with --listen", err)}
	}
	if err != nil {
		return StartError{Err: err}
	}
	l, err := strategies.Listen(f)
	if err != nil {
		return err
	}
	var peer net.Listener
	if c.PeerAddr != "" {
		f, err := OpenPeer(PeerAddrOf(c.PeerAddr, c.Slot))
		if err != nil {
			l.Close()
			return StartError{Err: err}
		}
		if peer, err = strategies.Listen(f); err != nil {
			return err
		}
	}
	boot := control.Boot{
		Strategy: c.Info.Name, Engine: c.Engine, Slot: c.Slot, ID: c.ID, Host: host, Public: public.String(), WorkerPort: c.WorkerPort,
		Bus: url, Shared: true, Secret: rand.Text(), PeerAddr: PeerAddrOf(c.PeerAddr, c.Slot), Strict: c.Strict, Hash: c.Hash,
		NginxMethod: c.NginxMethod, Origins: c.Origins, TrustProxies: c.TrustProxies, Rate: c.Rate, LogFormat: c.LogFormat,
	}
	if pair != nil {
		boot.HTTPS, boot.TLS = true, &control.TLS{Cert: pair.Cert, Key: pair.Key}
	}
	w, err := New(boot, c.Info, log)
	if err != nil {
		l.Close()
		return StartError{Err: err}
	}
	go w.followRegistry(ctx)
	if pair != nil {
		go w.followCert(ctx, c.TLS, pair)
	}
	return w.Run(ctx, []net.Listener{l}, peer, func() { log.Info("worker ready", "address", public.String(), "id", c.ID) })
}

// followRegistry takes the cluster from the registry, there being no master.
func (w *Worker) followRegistry(ctx context.Context) {
	self := control.Worker{Slot: w.boot.Slot, ID: w.boot.ID, PID: pid, Port: w.port(), State: control.Ready}
	c := control.Cluster{Since: time.Now().UnixMilli(), Workers: []control.Worker{self}}
	for first := true; ; first = false {
		known := []control.Worker{self}
		others, _ := w.registry.List(ctx) // without a bus, those known last
		for _, o := range others {
			if o.ID != self.ID {
				known = append(known, control.Worker{Slot: o.Slot, ID: o.ID, PID: o.PID, Port: o.Port, State: control.Ready})
			}
		}
		slices.SortFunc(known, func(a, b control.Worker) int { return a.Slot - b.Slot })
		if first || !slices.Equal(known, c.Workers) {
			c.Workers = known
			w.SetCluster(c)
		}
		select {
		case <-time.After(2 * time.Second):
		case <-ctx.Done():
			return
		}
	}
}
