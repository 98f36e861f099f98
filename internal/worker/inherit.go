package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"

	"github.com/samedoor/samedoor/internal/control"
	"github.com/samedoor/samedoor/internal/logs"
	"github.com/samedoor/samedoor/strategies"
)

// Inherited tells whether a master started this process.
func Inherited() bool { return os.Getenv(control.FDVariable) != "" }

// Inherit runs the worker that the master asks for over the control socket,
// until the master ends it or is gone. find returns the strategy of a name.
func Inherit(find func(name string) (strategies.Info, bool)) error {
	fd, err := strconv.Atoi(os.Getenv(control.FDVariable))
	if err != nil || fd < 3 {
		return fmt.Errorf("%s is for the master to set: unset it", control.FDVariable)
	}
	os.Unsetenv(control.FDVariable)
	signal.Ignore(os.Interrupt, syscall.SIGHUP) // a terminal sends them to the whole group; the master decides
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()

	conn, err := control.Inherit(fd)
	if err != nil {
		return err
	}
	hello, err := conn.Receive()
	if err != nil || hello.Boot == nil || hello.Cluster == nil {
		return errors.New("the master said nothing")
	}
	boot := *hello.Boot
	log := logs.New(os.Stderr, boot.LogFormat).With("slot", boot.Slot, "pid", pid)
	if err := inherit(ctx, conn, boot, *hello.Cluster, fd+1, find, log); err != nil {
		_ = conn.Send(control.Message{Failed: err.Error()}) // the master says it, once
		os.Exit(1)
	}
	return nil
}

func inherit(ctx context.Context, conn *control.Conn, boot control.Boot, cluster control.Cluster, fd int, find func(string) (strategies.Info, bool), log *slog.Logger) error {
	info, ok := find(boot.Strategy)
	if !ok {
		return fmt.Errorf("unknown strategy %q", boot.Strategy)
	}
	var public []net.Listener
	for i := range boot.Sockets {
		l, err := strategies.Listen(os.NewFile(uintptr(fd+i), "socket "+strconv.Itoa(i)))
		if err != nil {
			return err
		}
		public = append(public, l)
	}
	var peer net.Listener
	if n := len(public) - 1; boot.PeerFile {
		public, peer = public[:n], public[n]
	}
	w, err := New(boot, info, log)
	if err != nil {
		return err
	}
	w.SetCluster(cluster)
	shareCores(len(cluster.Live()))
	w.master = func(o control.Order) error { return conn.Send(control.Message{Order: &o}) }
	ctx, end := context.WithCancel(ctx)
	defer end()
	go func() {
		for {
			m, err := conn.Receive()
			if err != nil { // the master is gone: so is who would restart or end this worker
				if ctx.Err() == nil {
					_ = os.RemoveAll(boot.Dir) // as it would have
				}
				os.Exit(1)
			}
			if m.Cluster != nil {
				w.SetCluster(*m.Cluster)
				shareCores(len(m.Cluster.Live()))
			}
			if m.TLS != nil {
				w.SetTLS(*m.TLS)
			}
			if m.Drain > 0 {
				go func() { w.leave(ctx, m.Drain); end() }()
			}
		}
	}()
	go w.report(ctx, func(sessions int) error { return conn.Send(control.Message{Sessions: &sessions}) })
	return w.Run(ctx, public, peer, func() { _ = conn.Send(control.Message{Ready: true}) })
}

// cores is what this process may use of the machine.
var cores = runtime.GOMAXPROCS(0)

// shareCores lets one of so many workers run Go on its part of the cores twice
// over, so that a busy worker can use what others leave. More threads would
// mostly wake one another: on two cores, four workers with two threads each take
// up to a fifth more CPU for a request than with one. GOMAXPROCS in the
// operator's environment overrides it.
func shareCores(workers int) {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(part(cores, workers)) // costs nothing if it is that already
	}
}

func part(cores, workers int) int {
	workers = max(workers, 1)
	return min(cores, (2*cores+workers-1)/workers)
}
