package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/samedoor/samedoor/internal/logs"
	"github.com/samedoor/samedoor/internal/session"
	"github.com/samedoor/samedoor/internal/worker"
)

type workerCmd struct {
	Listen string `required:"" help:"Address to serve on." placeholder:"HOST:PORT"`
	Slot   int    `default:"0" help:"This worker's place in the cluster, from 0." placeholder:"I"`
	ID     string `help:"Name that its sids begin with, unlike any other worker's on this Redis. Default: the slot and a random part." placeholder:"NAME"`
	shared
}

func (c *workerCmd) Run() error {
	if err := checkAddr("--listen", c.Listen, 1); err != nil {
		return err
	}
	if c.Slot < 0 || c.Slot >= maxWorkers {
		return usage("--slot %d: slots are numbered from 0 to %d", c.Slot, maxWorkers-1)
	}
	if c.ID != "" && !session.ValidName(c.ID) {
		return usage("--id %q: use 1 to 32 letters, digits, _ and -", c.ID)
	}
	info, _, err := c.check(c.Slot + 1)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err = worker.Alone(ctx, worker.AloneConfig{
		Listen: c.Listen, Slot: c.Slot, ID: c.ID, Info: info, WorkerPort: c.WorkerPort, Redis: c.Redis,
		Engine: c.Engine, PeerAddr: c.PeerAddr, Strict: c.Strict, Hash: c.Hash, NginxMethod: c.NginxMethod,
		Origins: c.Origins, TrustProxies: c.TrustProxies, TLS: c.tls(), Rate: c.Rate, LogFormat: c.Log,
	}, logs.New(os.Stderr, c.Log).With("slot", c.Slot, "pid", os.Getpid()))
	if errors.As(err, new(worker.StartError)) {
		return usageError{err}
	}
	return err
}
