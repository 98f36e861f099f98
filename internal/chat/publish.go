package chat

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/samedoor/samedoor/internal/bus"
)

const (
	publishEvery = 50 * time.Millisecond // gathers what other workers are told
	clearedEvery = time.Second           // see cleared
	typingMax    = 64                    // typing events of a room in one publication
)

// outbox is what other workers are not told yet, by room.
type outbox struct {
	mu    sync.Mutex
	rooms map[string]*news
	every bool // tell all, of a predecessor's rooms too
	poke  chan struct{}
}

// news about one room. With replace the members are taken from the room when
// it is published, and joined and left don't matter.
type news struct {
	replace bool
	from    time.Time // not before
	joined  map[string]bus.Member
	left    map[string]struct{}
	typing  []bus.Typing
}

func (o *outbox) init() {
	o.rooms, o.poke = map[string]*news{}, make(chan struct{}, 1)
}

// add changes a room's news.
func (o *outbox) add(room string, change func(*news)) {
	o.mu.Lock()
	n := o.rooms[room]
	if n == nil {
		n = &news{joined: map[string]bus.Member{}, left: map[string]struct{}{}}
		o.rooms[room] = n
	}
	if change(n); n.empty() {
		delete(o.rooms, room)
	}
	o.mu.Unlock()
	o.wake()
}

func (o *outbox) wake() {
	select {
	case o.poke <- struct{}{}:
	default:
	}
}

func (o *outbox) joined(room string, m bus.Member) {
	o.add(room, func(n *news) {
		if !n.replace {
			n.joined[m.ID] = m
		}
	})
}

func (o *outbox) left(room, id string) {
	o.add(room, func(n *news) {
		if n.replace {
			return
		}
		if _, untold := n.joined[id]; untold {
			delete(n.joined, id)
			return
		}
		n.left[id] = struct{}{}
	})
}

// empty news are not kept: rooms come and go while the bus is away.
func (n *news) empty() bool {
	return !n.replace && len(n.joined)+len(n.left)+len(n.typing) == 0
}

// typed drops what is too much.
func (o *outbox) typed(room string, t bus.Typing) {
	o.add(room, func(n *news) {
		if len(n.typing) < typingMax {
			n.typing = append(n.typing, t)
		}
	})
}

func (o *outbox) replace(room string, from time.Time) {
	o.add(room, func(n *news) {
		n.replace, n.joined, n.left, n.from = true, nil, nil, from
	})
}

// everything tells all members anew, and no typing from before: nobody wants
// to know that now.
func (o *outbox) everything() {
	o.mu.Lock()
	o.every = true
	for _, n := range o.rooms {
		n.typing = nil
	}
	o.mu.Unlock()
	o.wake()
}

// take empties the outbox of what may be told now. next is when there may be
// more, zero if only a poke tells.
func (o *outbox) take() (due map[string]*news, every bool, next time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	due = map[string]*news{}
	now := time.Now()
	for room, n := range o.rooms {
		if n.from.After(now) {
			if next.IsZero() || n.from.Before(next) {
				next = n.from
			}
			continue
		}
		due[room] = n
		delete(o.rooms, room)
	}
	every, o.every = o.every, false
	return due, every, next
}

// publish tells other workers about this one's members, as soon as the bus is
// there and reads; what it could not tell it tells anew as a whole.
func (h *Hub) publish(ctx context.Context) {
	var retry bus.Pause
	for {
		select {
		case <-ctx.Done():
			h.farewell()
			return
		case <-h.out.poke:
		}
		select {
		case <-ctx.Done():
			continue
		case <-h.reading():
		}
		if ctx.Err() != nil {
			continue
		}
		due, every, next := h.out.take()
		if err := h.publishOnce(ctx, due, every); err != nil {
			if every {
				h.out.everything()
			}
			for room := range due {
				h.out.replace(room, time.Time{})
			}
			retry.Wait(ctx, nil)
			h.out.wake()
			continue
		}
		retry.Reset()
		if !next.IsZero() {
			time.AfterFunc(time.Until(next), h.out.wake)
		}
		sleep(ctx, publishEvery)
	}
}

func (h *Hub) publishOnce(ctx context.Context, due map[string]*news, every bool) error {
	if every {
		rooms, err := h.feed.Rooms(ctx)
		if err != nil {
			return err
		}
		for _, r := range h.all() {
			rooms = append(rooms, r.name)
		}
		for _, room := range rooms {
			n := due[room]
			if n == nil {
				n = &news{}
				due[room] = n
			}
			n.replace = true
		}
	}
	updates := make([]bus.Update, 0, len(due))
	for room, n := range due {
		u := bus.Update{Room: room, Typing: n.typing}
		var here []bus.Member
		if r := h.room(room); r != nil {
			here = r.local()
		}
		u.Empty = len(here) == 0
		if n.replace {
			u.Replace, u.Joined = true, here
		} else {
			u.Joined = slices.Collect(maps.Values(n.joined))
			u.Left = slices.Collect(maps.Keys(n.left))
			u.Empty = u.Empty && len(u.Joined) == 0
		}
		updates = append(updates, u)
	}
	return h.feed.Publish(ctx, updates)
}

// cleared: another worker took this one for dead. Two living workers with one
// id would clear one another for ever; they do it calmly.
func (h *Hub) cleared(name string) {
	if h.room(name) != nil {
		h.out.replace(name, time.Now().Add(clearedEvery))
	}
}

// farewell takes this worker's members off the bus at the end, if that is
// there to be told; else the successor does it, or the others.
func (h *Hub) farewell() {
	if h.crashed || !h.bus.Up() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	rooms, err := h.feed.Rooms(ctx)
	if err != nil {
		return
	}
	updates := make([]bus.Update, len(rooms))
	for i, room := range rooms {
		updates[i] = bus.Update{Room: room, Replace: true, Empty: true}
	}
	_ = h.feed.Publish(ctx, updates) // the same
}
