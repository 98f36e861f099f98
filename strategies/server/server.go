// Package server lets the worker that renders the page choose: it hashes the
// address of whoever asks and writes another worker's own address into the
// page. The sockets then go straight there; nothing stands in between.
package server

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"

	"github.com/samedoor/samedoor/strategies"
)

// Info declares the strategy.
var Info = strategies.Info{
	Name: "server",
	Doc:  "The page tells: the server hashes the asking address and renders that worker's own address into the page.",
	Tradeoffs: strategies.Tradeoffs{
		NAT:      "All clients behind one address are sent to one worker.",
		IPv6:     "A client is its /64, so privacy addresses don't move it. A page fetched over IPv6 and a socket over IPv4 still meet: the address is in the page.",
		Resizing: "One client in N is sent elsewhere when its page is loaded again; a page already open keeps its worker's address.",
		Proxies:  "Every worker needs a public address or port of its own, which a proxy or firewall has to let through, and CORS.",
	},
	New: func(c strategies.Config) strategies.Strategy { return &server{Config: c} },
}

type server struct {
	strategies.Config
	passer strategies.Passer // pages, in turn

	mu  sync.Mutex // guards own: Sockets may be called while Front runs
	own []*os.File // by slot: its own address, for sockets
}

// Sockets keeps the addresses of slots that were taken away: pages that were
// rendered before still name them, and their clients come back there.
func (s *server) Sockets(n int) (netip.AddrPort, [][]*os.File, error) {
	public, slots, err := s.passer.Open(s.Addr, n)
	if err != nil {
		return public, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for slot := len(s.own); slot < n; slot++ {
		f, _, err := strategies.OpenTCP(netip.AddrPortFrom(public.Addr(), uint16(s.WorkerPort+slot)).String())
		if err != nil {
			return public, nil, err
		}
		s.own = append(s.own, f)
	}
	for slot, f := range s.own[:n] {
		slots[slot] = append(slots[slot], f)
	}
	return public, slots, nil
}

// Front hands out the pages. Sockets need nobody, except those of clients whose
// slot is not live any more: they still knock at its address, and are passed to
// others.
func (s *server) Front(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var running sync.WaitGroup
	running.Go(func() { cancel(s.passer.Run(ctx, s.Serving, strategies.RoundRobin())) })
	running.Go(func() {
		cancel(s.passer.Cover(ctx, s.owned, s.Live, s.Hash))
	})
	running.Wait()
	for _, f := range s.owned() {
		f.Close()
	}
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func (s *server) owned() []*os.File {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.own)
}

// Route: strangers come when a client ignores the page and connects to the
// public address, or when its slot was given up.
func (s *server) Route(w strategies.Worker) http.Handler {
	if s.Strict {
		return w.Refuse
	}
	return w.Neighbours
}

// Page names the worker by the host that the client already uses.
func (s *server) Page(r *http.Request) strategies.Page {
	client, err := netip.ParseAddrPort(r.RemoteAddr)
	live, _ := s.Live()
	if err != nil || len(live) == 0 {
		return strategies.SameOrigin
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	slot := s.Hash(client.Addr(), live)
	return strategies.Page{
		URL:  scheme + "://" + net.JoinHostPort(trimBrackets(host), strconv.Itoa(s.WorkerPort+slot)),
		Slot: slot,
	}
}

// trimBrackets takes the brackets off an IPv6 host without a port.
func trimBrackets(host string) string {
	if len(host) > 1 && host[0] == '[' && host[len(host)-1] == ']' {
		return host[1 : len(host)-1]
	}
	return host
}
