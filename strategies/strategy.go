// Package strategies defines what a cluster strategy decides, and nothing else.
//
// A Socket.IO session lives in the memory of one worker, but a browser opens
// several connections for it. A strategy is one answer to the question: how
// does a request reach the worker that holds its session (its owner)?
//
// Workers come and go; slots stay. A slot is a place in the cluster, numbered
// from 0 and held by one worker process at a time. Strategies choose among
// slots, never among processes, so a worker that dies costs its clients a
// reconnection and everybody else nothing.
package strategies

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
)

// A Strategy answers four questions, always in this order.
//
// The master calls Sockets and Front; each worker calls Route and Page. The two
// halves are made from the same [Config] but run in different processes: they
// share sockets, never memory.
type Strategy interface {
	// Sockets (master) opens the public address and, for each of n slots, the
	// sockets its worker serves, in slot order: listening sockets, and
	// receiving ends of a [Lane]. The strategy keeps all of them open, so that
	// a worker's death refuses nobody.
	//
	// It is called again, while Front runs, when n changes: a slot that stays
	// keeps its sockets. New slots are not live before their workers are ready;
	// slots that go have not been live since their workers were told to drain,
	// and these have ended: what still waits in their sockets is passed to slots
	// that stay. After an error it is called with the n before.
	//
	// When it returns, the public address accepts connections (public tells
	// its port if [Config].Addr left that open), or the error is known.
	Sockets(n int) (public netip.AddrPort, slots [][]*os.File, err error)

	// Front (master) does what stands between the public address and those
	// sockets until ctx is done, and then closes what it holds. It returns nil
	// when ctx is done; any other return ends the master.
	Front(ctx context.Context) error

	// Route (worker) says what becomes of a stranger, a request whose session
	// another worker holds: w.Refuse or one of w's ways to forward.
	Route(w Worker) http.Handler

	// Page (worker) says where the client of the page asked for by r is told
	// to connect.
	Page(r *http.Request) Page
}

// Info declares a strategy. Each strategy's package exports one, named Info,
// and the list of all stands in cmd/samedoor/strategies.go.
type Info struct {
	// Name is the flag value, the folder, the heading in the README and the
	// label on the page.
	Name string

	// Doc says in one sentence who picks the worker.
	Doc string

	// Tradeoffs is shown under Doc on the page.
	Tradeoffs Tradeoffs

	// PerConnection says that the strategy picks by the first request of a
	// connection, and does not see the next. Under --strict workers then close a
	// connection after each answer, so that every request is the first.
	PerConnection bool

	// EndsTLS says that the strategy's front speaks TLS with the clients, by
	// [Config].Certificate, and its workers plain HTTP on loopback. Else the
	// workers do, on each of their sockets.
	EndsTLS bool

	// Caveat, if there is one, says in a line what the operator should know of a
	// configuration: the master logs it when it starts. Empty: nothing.
	Caveat func(Config) string

	// New makes a strategy. It has no side effects: master and workers call it.
	New func(Config) Strategy
}

// Tradeoffs says, in a sentence or two each, how a strategy fares in the
// circumstances that break other ones. What is empty is not shown.
type Tradeoffs struct {
	NAT      string // many clients behind one address
	IPv6     string // many addresses for one client
	Resizing string // workers join or leave
	Proxies  string // something stands in front, and may reuse connections
}

// Config is what the master and its workers agree on.
type Config struct {
	Addr       string // public TCP address, host:port; with port 0 Sockets picks one
	WorkerPort int    // port of slot 0, where slots have ports of their own
	Strict     bool   // refuse strangers, so that a test proves the strategy alone

	// Hash picks one of the live slots (ascending, never empty) for a client.
	// See [Slot] and [Digits].
	Hash PickFunc

	NginxMethod string // nginx only: ip_hash, hash or sid

	// FrontSecret is shared by the master's own proxy and the workers: only
	// who sends it (see [FrontHeader]) is believed about the client's address.
	FrontSecret string

	// Proxies are believed about the client's address.
	Proxies Proxies

	// Certificate returns the certificate and key (PEM) that belong together, and
	// a channel that is closed when they change. Nil: no TLS. Master only.
	Certificate func() (cert, key []byte, changed <-chan struct{})

	// Dir is a directory of this run alone (mode 0700) for what a strategy
	// generates. Master only.
	Dir string

	// Live tells which slots clients belong to: all that have not been given up.
	// Where a client belongs to one, it waits there for a worker's successor.
	Live LiveFunc

	// Serving tells which slots have a worker that serves right now (or all live
	// ones if none does), for connections that any worker will do for. Master only.
	Serving LiveFunc

	// Load tells how many sessions a slot's worker has told it holds, and how
	// often it has: its report changes when the worker has met new connections
	// or its sessions have changed, ten times a second at most. Master only.
	Load func(slot int) (sessions int, report uint64)

	// Owner tells the slot that a sid names, if it names one of this cluster. It
	// may have been given up. Master only.
	Owner func(sid string) (slot int, ok bool)

	// Log is for the events in the life of a child process; nothing else here logs.
	Log *slog.Logger
}

// LiveFunc returns slots, ascending, and a channel that is closed when they
// change.
type LiveFunc func() (slots []int, changed <-chan struct{})

// Follow calls f with the slots, and again whenever they change, until ctx is
// done.
func (live LiveFunc) Follow(ctx context.Context, f func(slots []int)) {
	for ctx.Err() == nil {
		slots, changed := live()
		f(slots)
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// FrontHeader carries [Config].FrontSecret from a proxy that the master started.
const FrontHeader = "X-Samedoor-Front"

// A Worker is what a strategy may know of the worker it runs in.
type Worker struct {
	// Refuse answers as Socket.IO does for a session it does not hold: HTTP
	// 400 {"code":1,"message":"Session ID unknown"}.
	Refuse http.Handler

	// Neighbours forwards to the owner that the slot in the sid names, on this
	// host. Registry forwards to the owner that the registry in Redis names,
	// on any host. Both refuse when the owner is unknown or gone, or when the
	// request was forwarded once already.
	Neighbours, Registry http.Handler
}

// Page is what the page tells its Socket.IO client.
type Page struct {
	URL  string // origin to connect to; empty: where the page came from
	Slot int    // slot that URL belongs to; -1 when URL is empty
}

// SameOrigin leaves the client its default.
var SameOrigin = Page{Slot: -1}
