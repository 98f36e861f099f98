// Package redis lets any worker take any connection. Which worker holds a
// session, and where it takes forwarded requests, stands in a registry in
// Redis, so that the cluster may span several masters and hosts.
package redis

import (
	"context"
	"net/http"
	"net/netip"
	"os"

	"github.com/samedoor/samedoor/strategies"
)

// Info declares the strategy.
var Info = strategies.Info{
	Name: "redis",
	Doc:  "Anybody may: a worker that meets a stranger finds the owner in Redis and forwards the request.",
	Tradeoffs: strategies.Tradeoffs{
		NAT:      "Addresses don't matter: clients behind one address spread over all workers.",
		IPv6:     "The same: a client may change its address in mid-session.",
		Resizing: "Nobody moves: sessions stay where they are, newcomers go anywhere, on other hosts too.",
		Proxies:  "Any proxy will do, without affinity. The price: most polling requests and every WebSocket may pass through a second worker.",
	},
	New: func(c strategies.Config) strategies.Strategy { return &redis{Config: c} },
}

type redis struct {
	strategies.Config
	passer strategies.Passer
}

func (s *redis) Sockets(n int) (netip.AddrPort, [][]*os.File, error) {
	return s.passer.Open(s.Addr, n)
}

func (s *redis) Front(ctx context.Context) error {
	return s.passer.Run(ctx, s.Serving, strategies.RoundRobin())
}

// Route forwards, always: the strategy lives by it, and refuses --strict.
func (s *redis) Route(w strategies.Worker) http.Handler { return w.Registry }

func (s *redis) Page(*http.Request) strategies.Page { return strategies.SameOrigin }
