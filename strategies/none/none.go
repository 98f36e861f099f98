// Package none is the control of the experiment: connections go to the workers
// in turn, as a process manager without a strategy hands them out. A client
// that needs several connections meets several workers.
package none

import (
	"context"
	"net/http"
	"net/netip"
	"os"

	"github.com/samedoor/samedoor/strategies"
)

// Info declares the strategy.
var Info = strategies.Info{
	Name: "none",
	Doc:  "Nobody picks: each connection goes to the next worker, whoever holds the session.",
	Tradeoffs: strategies.Tradeoffs{
		NAT:      "Nothing helps: with N workers a request finds its own with a chance of one in N, from whatever address.",
		IPv6:     "The same.",
		Resizing: "Nothing changes: no client had a place.",
		Proxies:  "A proxy in front that keeps its connections makes it work by chance, until one of them is closed.",
	},
	New: func(c strategies.Config) strategies.Strategy { return &none{Config: c} },
}

type none struct {
	strategies.Config
	passer strategies.Passer
}

func (s *none) Sockets(n int) (netip.AddrPort, [][]*os.File, error) {
	return s.passer.Open(s.Addr, n)
}

func (s *none) Front(ctx context.Context) error {
	return s.passer.Run(ctx, s.Serving, strategies.RoundRobin())
}

// Route lets strangers fail, so that the failure can be seen.
func (s *none) Route(w strategies.Worker) http.Handler { return w.Refuse }

func (s *none) Page(*http.Request) strategies.Page { return strategies.SameOrigin }
