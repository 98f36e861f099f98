package worker

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/samedoor/samedoor/internal/forward"
	"github.com/samedoor/samedoor/internal/handover"
)

// Run serves the public listeners, and those for other workers (elsewhere is
// for other hosts', and may be nil), until ctx is done, then says goodbye to the
// clients. up is called once the worker serves.
func (w *Worker) Run(ctx context.Context, public []net.Listener, elsewhere net.Listener, up func()) error {
	defer w.bus.Close()
	handed, peers, err := w.forward.Listen()
	if err != nil {
		return err
	}
	if elsewhere != nil {
		peers = append(peers, elsewhere)
	}
	// Nobody must meet a sid of a worker that the registry does not know. Without
	// a bus there is no registry to know it; Register goes on trying.
	_ = w.bus.Announce(ctx, w.registration())
	g, ctx := errgroup.WithContext(ctx)
	for i, l := range public {
		l = w.tls.listener(w.trusted.Listener(l))
		public[i] = l
		defer context.AfterFunc(w.accepting, func() { l.Close() })() // at once, if it leaves before it has begun
	}
	w.serve(ctx, g, w.clientServer(), append(public, handed...))
	w.serve(ctx, g, w.peerServer(), peers)
	g.Go(func() error { return ignoreDone(ctx, w.hub.Run(ctx)) })
	g.Go(func() error { return ignoreDone(ctx, w.bus.Register(ctx, w.registration())) })
	up()
	err = g.Wait()
	w.forward.Close()
	return err
}

// serve has s serve until ctx is done, and end once its clients were told.
func (w *Worker) serve(ctx context.Context, g *errgroup.Group, s *http.Server, from []net.Listener) {
	var serving sync.WaitGroup
	coming := newcomers{conns: map[net.Conn]bool{}}
	s.ConnState = coming.watch(s.ConnState)
	for _, l := range from {
		serving.Add(1)
		g.Go(func() error {
			defer serving.Done()
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
			if handed, ok := l.(*handover.Listener); ok {
				handed.Drain(grace.Done())
			}
			l.Close() // what comes from now on waits for the successor
		}
		w.drain()
		serving.Wait() // none comes any more
		coming.wait(grace)
		if err := s.Shutdown(grace); err != nil {
			return s.Close()
		}
		return nil
	})
}

// newcomers are connections whose first request is still to be read: an
// http.Server that is shutting down reads it, and leaves it unanswered.
type newcomers struct {
	mu    sync.Mutex
	conns map[net.Conn]bool
}

// watch is a server's ConnState. next is called, too.
func (n *newcomers) watch(next func(net.Conn, http.ConnState)) func(net.Conn, http.ConnState) {
	return func(c net.Conn, state http.ConnState) {
		n.mu.Lock()
		if state == http.StateNew {
			n.conns[c] = true
		} else {
			delete(n.conns, c)
		}
		n.mu.Unlock()
		if next != nil {
			next(c, state)
		}
	}
}

// wait waits until all requests are read, or ctx is done. Connections on which
// none is under way, as browsers open ahead, are not waited for much longer than
// a request may take that is.
func (n *newcomers) wait(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, stragglers)
	defer cancel()
	for n.any() && ctx.Err() == nil {
		pause(ctx, 5*time.Millisecond)
	}
}

func (n *newcomers) any() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.conns) > 0
}

func ignoreDone(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// clientServer serves what comes from outside.
func (w *Worker) clientServer() *http.Server {
	s := newServer(w.fromClients(w.site), w.log)
	s.SetKeepAlivesEnabled(!w.boot.Strict || !w.info.PerConnection)
	s.ConnContext = forward.WithConn
	s.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			w.touch()
		}
	}
	return s
}

// peerServer serves what other workers forward and ask.
func (w *Worker) peerServer() *http.Server {
	s := newServer(w.forward.FromPeers(w.signed(w.site), w.questions()), w.log)
	s.IdleTimeout = 0 // the forwarder closes idle connections: it then never sends on one that is being closed
	return s
}

// newServer bounds what slow clients may hold; longer polls extend it themselves.
func newServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       75 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          newErrorLog(log),
	}
}
