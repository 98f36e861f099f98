// Package kernel lets the kernel choose: every slot has a socket of its own on
// the public address (SO_REUSEPORT), and a small program attached to them
// hashes the client's address as soon as its first packet arrives. Nobody
// stands in between: a worker accepts its clients by itself.
//
// By itself the kernel hashes ports, too, which sends two connections of one
// browser to two workers.
package kernel

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"sync"

	"github.com/samedoor/samedoor/strategies"
)

// Info declares the strategy.
var Info = strategies.Info{
	Name: "kernel",
	Doc:  "The kernel picks (Linux): a program on the listening sockets hashes the client's address.",
	Tradeoffs: strategies.Tradeoffs{
		NAT:      "All clients behind one address go to one worker.",
		IPv6:     "A client is its /64, so privacy addresses don't move it.",
		Resizing: "The same rendezvous hashing as in master, in the kernel: one client in N moves, and its requests are forwarded.",
		Proxies:  "It knows the address that a connection comes from and no other: all clients of a proxy share one worker.",
	},
	New: func(c strategies.Config) strategies.Strategy { return &kernel{Config: c} },
	Caveat: func(c strategies.Config) string {
		if len(c.Proxies) == 0 {
			return ""
		}
		return "the kernel hashes the address that a connection comes from: all clients of a trusted proxy share one worker (--strategy master or sid tells them apart)"
	},
}

type kernel struct {
	strategies.Config
	passer strategies.Passer // for connections that waited for a slot which was given up

	mu    sync.Mutex // guards the following
	n     int        // slots
	group group      // a socket for each, and for those there have been
}

// Sockets opens a socket and a lane per slot. The socket of a slot that goes
// stays open: closing it would reset what waits in it, and handshakes that are
// under way. The program does not choose it, and Front passes on what it has.
func (s *kernel) Sockets(n int) (netip.AddrPort, [][]*os.File, error) {
	public, err := s.resize(n)
	if err != nil {
		return public, nil, err
	}
	slots, err := s.passer.Lanes(n) // not under the lock: the passer asks live under its own
	if err != nil {
		return public, nil, err
	}
	for slot, f := range s.files()[:n] {
		slots[slot] = append(slots[slot], f)
	}
	return public, slots, nil
}

func (s *kernel) resize(n int) (netip.AddrPort, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n > s.n {
		if err := fits(n); err != nil {
			return s.group.addr, err
		}
	}
	s.n = n
	for len(s.group.files) < n {
		if err := s.group.open(s.Addr, s.belowN()); err != nil {
			return s.group.addr, err
		}
	}
	return s.group.addr, s.group.choose(s.belowN())
}

// Front leaves the choice to the kernel, and keeps telling it which slots are
// live. Those that are not have connections left: they are passed to others.
func (s *kernel) Front(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var running sync.WaitGroup
	running.Go(func() { s.passer.Rescue(ctx, s.live, s.Hash) })
	running.Go(func() { cancel(s.passer.Cover(ctx, s.files, s.live, s.Hash)) })
	s.Live.Follow(ctx, func([]int) {
		if err := s.choose(); err != nil {
			cancel(err)
		}
	})
	running.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.group.close()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// Route: strangers come only when a client's address changes or a proxy in
// front sends several clients down one connection.
func (s *kernel) Route(w strategies.Worker) http.Handler {
	if s.Strict {
		return w.Refuse
	}
	return w.Neighbours
}

func (s *kernel) Page(*http.Request) strategies.Page { return strategies.SameOrigin }

// live is Config's, without slots that are to come or have gone.
func (s *kernel) live() ([]int, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, changed := s.Live()
	return s.belowN(), changed
}

func (s *kernel) belowN() []int {
	slots, _ := s.Live()
	return slices.DeleteFunc(slices.Clone(slots), func(slot int) bool { return slot >= s.n })
}

func (s *kernel) choose() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.group.choose(s.belowN())
}

func (s *kernel) files() []*os.File {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.group.files)
}
