// Package master lets the master accept every connection and pass it, as an
// open file, to the worker that the client's address hashes to. Nothing is
// proxied: once passed, the connection is the worker's alone.
package master

import (
	"context"
	"net/http"
	"net/netip"
	"os"

	"github.com/samedoor/samedoor/strategies"
)

// Info declares the strategy.
var Info = strategies.Info{
	Name: "master",
	Doc:  "The master picks, by a hash of the client's address, and passes the open connection on.",
	Tradeoffs: strategies.Tradeoffs{
		NAT:      "All clients behind one address go to one worker: a large office makes one worker busy.",
		IPv6:     "A client is its /64, so privacy addresses don't move it.",
		Resizing: "Rendezvous hashing moves one client in N; their requests are forwarded.",
		Proxies:  "A proxy among --trust-proxies tells who the client is. One that uses a connection again for other clients leaves these to forwarding.",
	},
	New: func(c strategies.Config) strategies.Strategy { return &master{Config: c} },
	Caveat: func(c strategies.Config) string {
		if c.Certificate == nil || len(c.Proxies) == 0 {
			return ""
		}
		return "TLS hides X-Forwarded-For and Forwarded from the master: clients of a trusted proxy that does not tell of them by the PROXY protocol share one worker"
	},
}

type master struct {
	strategies.Config
	passer strategies.Passer
}

func (s *master) Sockets(n int) (netip.AddrPort, [][]*os.File, error) {
	return s.passer.Open(s.Addr, n)
}

func (s *master) Front(ctx context.Context) error {
	if len(s.Proxies) == 0 {
		return s.passer.Run(ctx, s.Live, s.Hash)
	}
	return s.passer.RunPeek(ctx, s.Live, s.pick)
}

// pick is a [strategies.PeekFunc]: of trusted proxies' connections it reads whose
// they are, those of others it passes unseen.
func (s *master) pick(peer netip.Addr, head []byte, last bool, live []int) (slot int, ok bool) {
	client, ok := s.Proxies.Look(peer, head)
	return s.Hash(client, live), ok || last
}

// Route: strangers come only when a client's address changes or a proxy in
// front sends several clients down one connection.
func (s *master) Route(w strategies.Worker) http.Handler {
	if s.Strict {
		return w.Refuse
	}
	return w.Neighbours
}

func (s *master) Page(*http.Request) strategies.Page { return strategies.SameOrigin }
