package forward

import (
	"context"
	"net"
	"net/http"

	"github.com/samedoor/samedoor/internal/handover"
	"github.com/samedoor/samedoor/strategies"
)

// Connections of trusted proxies can be handed over, too.
var _ handover.Wrapper = (*strategies.ProxyConn)(nil)

// handOver hands r's whole connection to the worker at to, which serves r and
// what comes after it: a client that stays with one session costs no more than
// one who came to its owner at once. It says false if that cannot be, and
// nothing has happened: r is to be proxied.
//
// It pays always, so there is no rule when to: a stranger costs about 2.4 times
// an own request on a new connection, and 3.3 times by proxy; the requests after it
// 1.0, and 5 to 6 by proxy. Even where a proxy in front sends requests for four
// owners down one connection, at random, it is 3 to 4.5 against 5.5 to 8 times an
// own one (BenchmarkForward).
func (f *Forwarder) handOver(rw http.ResponseWriter, r *http.Request, to peer) bool {
	c := connOf(r.Context())
	if to.socket == "" || f.handed == nil || c == nil || !handover.CanTake(c, r) {
		return false
	}
	if c, ok := c.(*handover.Conn); ok && c.Returned { // that was tried
		c.Returned = false
		return false
	}
	lane, err := f.sender.To(to.socket)
	if err != nil { // the owner is gone: what proxying ends with is for the client
		return false
	}
	taken, err := handover.Take(rw, r, c, handover.Message{Via: f.Boot.Slot, Client: r.RemoteAddr})
	if err != nil {
		return true // it is closed
	}
	f.count.Add(1)
	if err := lane.Send(taken); err != nil { // since a moment ago the owner is gone, or does not keep up
		f.count.Add(-1)
		f.handed.Return(taken) // and counted where it is proxied
	}
	return true
}

// connKey finds the connection of a request in its context.
type connKey struct{}

// WithConn lets a request find its connection: it is an http.Server's ConnContext.
// Without it nothing is handed over.
func WithConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

func connOf(ctx context.Context) net.Conn {
	c, _ := ctx.Value(connKey{}).(net.Conn)
	return c
}
