// Package sid lets the master read, ahead of the worker, whose session a
// connection is for: the first request's sid names the slot. Where there is no
// sid yet, the worker with the fewest sessions gets a newcomer. So clients may
// share an address or change it, and workers fill evenly.
package sid

import (
	"context"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/samedoor/samedoor/strategies"
)

// Info declares the strategy.
var Info = strategies.Info{
	Name: "sid",
	Doc:  "The master peeks: the sid in a connection's first request names the worker, and newcomers go where the fewest sessions are.",
	Tradeoffs: strategies.Tradeoffs{
		NAT:      "Clients behind one address spread over all workers: newcomers go where the fewest sessions are.",
		IPv6:     "The same: a client may change its address in mid-session.",
		Resizing: "Sessions stay; only those of a worker that goes have to begin anew.",
		Proxies:  "It reads the first request of a connection: a proxy that reuses connections leaves the rest to forwarding, and with TLS nothing can be read, so the address decides.",
	},
	PerConnection: true,
	Caveat: func(c strategies.Config) string {
		if c.Certificate == nil {
			return ""
		}
		return "TLS hides the sid from the master: connections go by the client's address (a trusted proxy's, unless that tells the client's by the PROXY protocol), as with --strategy master"
	},
	New: func(c strategies.Config) strategies.Strategy { return &sid{Config: c, sent: map[int]sent{}} },
}

type sid struct {
	strategies.Config
	passer strategies.Passer

	sent map[int]sent // by slot: newcomers that its worker has not told of
	turn int          // slot after the last newcomer's, who breaks ties
}

// sent counts the newcomers since a worker's report.
type sent struct {
	report uint64
	n      int
	first  time.Time
}

// A worker tells of newcomers within a tenth of a second. One that hasn't for so
// long stalls, and gets none while others do better.
const patience = time.Second

const stalled = 1 << 30 // more sessions than any worker has

func (s *sid) Sockets(n int) (netip.AddrPort, [][]*os.File, error) {
	return s.passer.Open(s.Addr, n)
}

func (s *sid) Front(ctx context.Context) error {
	return s.passer.RunPeek(ctx, s.Live, s.pick)
}

// pick is a [strategies.PeekFunc].
func (s *sid) pick(client netip.Addr, head []byte, last bool, live []int) (slot int, ok bool) {
	client, head, whole := s.Proxies.Unwrap(client, head)
	if !whole && !last { // a proxy has more to say about its client
		return 0, false
	}
	sid, is := firstSID(head, last)
	switch is {
	case unfinished:
		return 0, false
	case opaque: // TLS, or nothing that we know
		return s.Hash(client, live), true
	}
	if slot, ok := s.Owner(sid); ok && slices.Contains(live, slot) {
		return slot, true
	}
	return s.fewest(live), true
}

// fewest returns the slot with the fewest sessions. Newcomers sent there since
// its worker's last word count as sessions, too: so a burst spreads evenly.
func (s *sid) fewest(live []int) int {
	slots, _ := s.Serving()
	if len(slots) == 0 { // the last one was given up just now
		slots = live
	}
	best, least := -1, 0
	for i := range slots {
		slot := slots[(i+s.turn)%len(slots)]
		sessions, report := s.Load(slot)
		since := s.sent[slot]
		if since.report != report {
			since = sent{report: report}
			s.sent[slot] = since
		}
		n := sessions + since.n
		if since.n > 0 && time.Since(since.first) > patience {
			n += stalled
		}
		if best < 0 || n < least {
			best, least = slot, n
		}
	}
	s.turn = slices.Index(slots, best) + 1
	since := s.sent[best]
	if since.n++; since.n == 1 {
		since.first = time.Now()
	}
	s.sent[best] = since
	return best
}

// Route: strangers are common. Browsers ask for the page first, and send what
// follows down the same connections.
func (s *sid) Route(w strategies.Worker) http.Handler {
	if s.Strict {
		return w.Refuse
	}
	return w.Neighbours
}

func (s *sid) Page(*http.Request) strategies.Page { return strategies.SameOrigin }
