package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/samedoor/samedoor/internal/logs"
	"github.com/samedoor/samedoor/internal/master"
	"github.com/samedoor/samedoor/internal/origin"
	"github.com/samedoor/samedoor/internal/worker"
)

type serveCmd struct {
	Workers      int           `default:"4" help:"Number of slots, each a process." placeholder:"N"`
	Addr         string        `default:"127.0.0.1:8080" help:"Public address; port 0 picks one." placeholder:"HOST:PORT"`
	MaxRestarts  int           `default:"3" help:"How often a slot's worker is started again without a healthy minute." placeholder:"N"`
	RestartDelay time.Duration `default:"5s" help:"Time before it is (none after the first death of a healthy worker)." placeholder:"TIME"`
	Demo         *bool         `negatable:"" help:"Buttons on the page that kill and restart workers. Default: on with a loopback --addr, else off."`
	shared

	// In the contract, of issues that are still open.
	Admin string `hidden:""`
}

// maxWorkers is more than any machine runs; beyond it a number is a mistake.
const maxWorkers = 256

func (c *serveCmd) Run(out io.Writer) error {
	switch {
	case c.Admin != "":
		return usage("--admin is not built yet: GET /cluster tells the numbers")
	case c.Workers < 1 || c.Workers > maxWorkers:
		return usage("--workers %d: choose 1 to %d", c.Workers, maxWorkers)
	case c.MaxRestarts < 0:
		return usage("--max-restarts %d is negative: 0 never starts a worker again", c.MaxRestarts)
	case c.RestartDelay < 0:
		return usage("--restart-delay %v is negative", c.RestartDelay)
	}
	if err := checkAddr("--addr", c.Addr, 1); err != nil {
		return err
	}
	info, hash, err := c.check(c.Workers)
	if err != nil {
		return err
	}
	host, port, _ := net.SplitHostPort(c.Addr) // checked above
	public, _ := strconv.Atoi(port)
	if own := info.Name == "server" || info.Name == "nginx"; own && public >= c.WorkerPort && public < c.WorkerPort+c.Workers {
		return usage("--addr %s is one of the workers' ports, %d to %d: choose another, or another --worker-port", c.Addr, c.WorkerPort, c.WorkerPort+c.Workers-1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	err = master.Run(ctx, master.Config{
		Strategy: info, Workers: c.Workers, Addr: c.Addr, WorkerPort: c.WorkerPort,
		Engine: c.Engine, Redis: c.Redis, PeerAddr: c.PeerAddr, Strict: c.Strict, Hash: c.Hash, HashFunc: hash,
		NginxMethod: c.NginxMethod, Origins: c.Origins, TrustProxies: c.TrustProxies, TLS: c.tls(), MaxRestarts: c.MaxRestarts,
		RestartDelay: c.RestartDelay, Rate: c.Rate, LogFormat: c.Log,
		Demo: c.Demo == nil && origin.IsLoopback(host) || c.Demo != nil && *c.Demo,
	}, reload, out, logs.New(os.Stderr, c.Log).With("pid", os.Getpid()))
	if errors.As(err, new(worker.StartError)) {
		return usageError{err}
	}
	return err
}
