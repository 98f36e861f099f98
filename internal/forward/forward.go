// Package forward gets a stranger, a request whose session this worker does not
// hold, to its owner: over one hop at most. On one host its whole connection is
// handed over (handover.go); all else is proxied (proxy.go). peers.go knows where
// the others are, receive.go is the owner's end, headers.go what they say to
// each other in HTTP. Over the same ways workers ask one another questions.
package forward

import (
	"context"
	"net/http"
	"net/http/httputil"
	"sync/atomic"
	"time"

	"github.com/samedoor/samedoor/internal/bus"
	"github.com/samedoor/samedoor/internal/control"
	"github.com/samedoor/samedoor/internal/handover"
	"github.com/samedoor/samedoor/internal/session"
	"github.com/samedoor/samedoor/internal/trace"
)

// Options are what a Forwarder must be told of its worker.
type Options struct {
	Boot     control.Boot
	Registry *bus.Registry
	Cluster  func() control.Cluster // as it is now
	Record   *trace.Recorder
	Refuse   http.HandlerFunc // answers a stranger that cannot be forwarded
	Nudge    func(sid string) // answers a held poll of a session of this worker
	Patience time.Duration    // how long an owner may take to answer
}

// A Forwarder is one worker's. Make it with New.
type Forwarder struct {
	Options
	count     atomic.Int64
	handed    *handover.Listener // connections from the other workers of this run; nil without any
	sender    handover.Sender
	transport *http.Transport
	proxy     *httputil.ReverseProxy
	polls     polls
}

// New returns the Forwarder of a worker. Nothing reaches it before Listen.
func New(o Options) *Forwarder {
	f := &Forwarder{Options: o, transport: newTransport(o.Patience)}
	f.proxy = newProxy(o.Boot.Slot, f.transport)
	return f
}

// Forwarded counts the requests that were forwarded so far.
func (f *Forwarder) Forwarded() int64 { return f.count.Load() }

// ToNeighbours forwards to the worker of this host that the slot in a sid names.
func (f *Forwarder) ToNeighbours() http.Handler { return f.to(f.neighbour) }

// ToRegistered forwards to the worker that the registry names, on any host.
func (f *Forwarder) ToRegistered() http.Handler { return f.to(f.registered) }

// to forwards strangers to the owner that find names. What was forwarded once
// is refused.
func (f *Forwarder) to(find func(ctx context.Context, name string) (peer, bool)) http.Handler {
	refusal := f.Record.Handler(f.Refuse)
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		sid := r.URL.Query().Get("sid")
		name, _, _ := session.Split(sid)
		owner, ok := find(r.Context(), name)
		if _, forwarded := Via(r.Context()); forwarded || !ok {
			refusal.ServeHTTP(rw, r)
			return
		}
		if f.handOver(rw, r, owner) {
			return
		}
		rec := f.Record.Begin(rw, r, sid)
		gone := func(_ http.ResponseWriter, r *http.Request) { // its sessions are, too: the client starts over
			defer rec.End()
			f.Refuse(rec.Writer(), r)
		}
		if r.Method == http.MethodGet && r.Header.Get("Upgrade") == "" {
			defer f.polls.begin(poll{sid, owner})()
		}
		f.proxyTo(rw, r, owner, gone)
	})
}

// ToSlot forwards any request to a worker of this host; gone answers it if that
// is not there.
func (f *Forwarder) ToSlot(rw http.ResponseWriter, r *http.Request, slot int, gone http.HandlerFunc) {
	f.proxyTo(rw, r, f.inSlot(slot), gone)
}

// CloseIdleConnections closes what requests are proxied over, where none is.
func (f *Forwarder) CloseIdleConnections() { f.transport.CloseIdleConnections() }

// Close lets go of the other workers.
func (f *Forwarder) Close() {
	f.sender.Close()
	f.CloseIdleConnections()
}
