// Package chat is the chat of the page: rooms, messages, who is here and who
// is typing, for the clients of one worker, together with all other workers
// over the bus. It knows no Socket.IO library: a [Client] is whatever can be
// told an event, and its events come in as calls of a [Member].
//
// A message is first stored in the room's stream on the bus, and reaches
// everyone, its sender too, by being read from there. So all see one order,
// and acknowledged means stored.
//
// Read hub.go, member.go (what a client does), delivery.go (what it is sent),
// presence.go and publish.go (who is here), in that order.
package chat

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/samedoor/samedoor/internal/bus"
)

// Client is one socket in the namespace "/".
type Client interface {
	// ID is unique in this worker.
	ID() string

	// Emit queues an event and returns at once. It must not call this package
	// back but for Leave. The arguments encode to JSON; many clients are given
	// the same ones, so nobody may change them.
	Emit(event string, args ...any)
}

// Options are what a hub needs. Bus and WorkerID are required; the worker
// should be in the registry under the same id, else others take its members
// for those of a dead one.
type Options struct {
	Bus      *bus.Bus
	WorkerID string
	Slot     int
	Strategy string
	Rate     float64      // chat messages a second per client, burst twice that; 0: no limit
	Log      *slog.Logger // default: discarded
}

// Hub holds the rooms of this worker's clients.
type Hub struct {
	bus      *bus.Bus
	feed     *bus.Feed
	worker   string
	name     string // this hub's own: worker ids have successors
	slot     int
	strategy string
	rate     float64
	log      *slog.Logger

	dropped atomic.Int64 // inputs nobody could be told about
	serial  atomic.Int64 // names members
	panics  sync.Once

	ctx  context.Context // ends with Run
	stop context.CancelFunc
	busy sync.WaitGroup // every goroutine but Run's
	read chan struct{}  // bounds how many clients read history at once

	mu     sync.Mutex
	closed bool
	rooms  map[string]*room
	ready  chan struct{} // closed while the feed reads
	since  time.Time     // when it began to; zero while it does not

	out outbox
	due dueQueue

	crashed bool // tests: end as a killed process does, without a farewell
	prune   struct{ every, grace time.Duration }
}

// NewHub makes a hub; its [Hub.Run] must be called for anything to reach or
// come from the bus.
func NewHub(o Options) *Hub {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	h := &Hub{
		bus: o.Bus, worker: o.WorkerID, slot: o.Slot, strategy: o.Strategy, rate: o.Rate, log: o.Log,
		name:  rand.Text()[:8],
		read:  make(chan struct{}, 8),
		rooms: map[string]*room{},
		ready: make(chan struct{}),
	}
	h.ctx, h.stop = context.WithCancel(context.Background())
	h.out.init()
	h.due.init()
	h.prune.every, h.prune.grace = 3*time.Second, 6*time.Second
	h.feed = o.Bus.Feed(o.WorkerID, bus.Handler{
		Opened:   h.opened,
		Messages: h.messages,
		Changed:  h.changed,
		Replaced: h.replaced,
		Cleared:  h.cleared,
		Typing:   h.typing,
		State:    h.state,
	})
	return h
}

// Run carries everything between this worker's clients and the bus until ctx
// is done, and returns nil when all it started has ended: at once, or within
// three seconds while the bus does not answer. A hub runs once.
func (h *Hub) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, h.stop)()
	for _, run := range []func(context.Context){h.publish, h.tellPresence, h.pruneDead} {
		h.spawn(func() { run(h.ctx) })
	}
	err := h.feed.Run(h.ctx)
	h.stop()
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.busy.Wait()
	return err
}

// Dropped counts input that was wrong, or too much, and whose sender asked for
// no acknowledgement that could have said so.
func (h *Hub) Dropped() int64 { return h.dropped.Load() }

// spawn runs f in a goroutine that Run waits for; false when Run has ended.
func (h *Hub) spawn(f func()) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.busy.Go(func() {
		defer h.survive("chat")
		f()
	})
	return true
}

// survive keeps one client's bad luck from ending the worker.
func (h *Hub) survive(what string) {
	if p := recover(); p != nil {
		h.panics.Do(func() { h.log.Error("panic in chat, further ones are not logged", "in", what, "panic", fmt.Sprint(p)) })
	}
}

// state is the feed's word on whether it reads.
func (h *Hub) state(up bool) {
	h.mu.Lock()
	switch was := !h.since.IsZero(); {
	case up && !was:
		close(h.ready)
	case !up && was:
		h.ready = make(chan struct{})
	}
	h.since = time.Time{}
	if up {
		h.since = time.Now()
	}
	h.mu.Unlock()
	if up {
		h.out.everything()
	}
}

// reading is closed while the feed reads.
func (h *Hub) reading() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ready
}

// enter returns the room, made and read from now on if need be, and counts one
// more member in it.
func (h *Hub) enter(name string) *room {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.rooms[name]
	if r == nil {
		r = newRoom(h, name)
		h.rooms[name] = r
		h.feed.Watch(name)
	}
	r.held++
	return r
}

// exit undoes one enter.
func (h *Hub) exit(r *room) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.held--; r.held == 0 {
		delete(h.rooms, r.name)
		h.feed.Unwatch(r.name)
	}
}

// room returns a room that has members here, or nil.
func (h *Hub) room(name string) *room {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rooms[name]
}

// all returns the rooms that have members here.
func (h *Hub) all() []*room {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Values(h.rooms))
}
