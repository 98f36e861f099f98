package chat

import (
	"context"
	"time"

	"github.com/samedoor/samedoor/internal/bus"
)

const (
	welcomeLimit = time.Second // how long a welcome waits for its history
	historyMax   = 500         // messages after a client's offset
	historyLast  = 50          // messages for one that has none
	readMax      = 256         // messages read at once while reading up
)

// welcome is what a client is sent first.
type welcome struct {
	Name      string        `json:"name"`
	Room      string        `json:"room"`
	Slot      int           `json:"slot"`
	Worker    string        `json:"worker"`
	Strategy  string        `json:"strategy"`
	Members   []person      `json:"members"`
	Count     int           `json:"count"`
	History   []bus.Message `json:"history"`
	Truncated bool          `json:"truncated"`
}

// A member is given each message once. What the feed reads goes to the live
// members; a new one first gets history, then reads up from the bus until it
// stands where the room stands, and only then becomes live: no gap, no double.

// messages gives what the feed read to the live members.
func (h *Hub) messages(name string, ms []bus.Message) {
	r := h.room(name)
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.opened {
		return // for an earlier room of this name
	}
	events := boxed(ms)
	for m := range r.members {
		if m.live {
			m.give(ms, events)
		}
	}
	r.last = ms[len(ms)-1].Place
}

// give needs room.mu. events are the same messages, boxed once for all members.
func (m *Member) give(ms []bus.Message, events []any) {
	for i, message := range ms {
		if message.Place.After(m.cursor) {
			m.emit("chat", events[i])
			m.cursor = message.Place
		}
	}
}

func boxed(ms []bus.Message) []any {
	events := make([]any, len(ms))
	for i, message := range ms {
		events[i] = message
	}
	return events
}

// opened tells where the feed stands in a room, the first time and after an
// outage.
func (h *Hub) opened(name string, from, last bus.Offset, members map[string][]bus.Member) {
	r := h.room(name)
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.opened {
		r.opened = true
		close(r.open)
	}
	r.last = from
	for m := range r.members {
		if m.cursor.After(last) {
			// The stream began anew, with offsets lower than the ones this
			// member was given: none of its messages are known to it.
			m.cursor = bus.Offset{}
		}
		if m.live && from.After(m.cursor) {
			m.live = false
			h.spawn(func() { m.readUp(false, false) })
		}
	}
	for worker := range r.others {
		if _, still := members[worker]; !still {
			r.replace(worker, nil)
		}
	}
	for worker, all := range members {
		r.replace(worker, all)
	}
}

// arrive welcomes a member and makes it live.
func (m *Member) arrive(after bus.Offset, resumes bool) {
	h := m.hub
	ctx, cancel := context.WithTimeout(h.ctx, welcomeLimit)
	defer cancel()
	known := true
	if h.bus.Up() {
		select {
		case <-m.room.open: // else the members of other workers are not known
		case <-ctx.Done():
			known = false
		}
	}
	var ms []bus.Message
	var truncated bool
	err := bus.ErrGone
	if known {
		ms, truncated, after, err = h.history(ctx, m.room.name, after, resumes)
	}
	if err != nil {
		// The client gets what it missed later, as chat.
		m.room.welcome(m, nil, false, after)
		m.readUp(true, resumes)
		return
	}
	m.room.welcome(m, ms, truncated, after)
	m.readUp(false, false)
}

// history returns what a welcome holds, and the offset behind it.
func (h *Hub) history(ctx context.Context, room string, after bus.Offset, resumes bool) (ms []bus.Message, truncated bool, end bus.Offset, err error) {
	select {
	case h.read <- struct{}{}:
		defer func() { <-h.read }()
	case <-ctx.Done():
		return nil, false, after, ctx.Err()
	}
	known := false
	if resumes {
		ms, truncated, known, err = h.bus.Since(ctx, room, after, historyMax)
		end = after
	}
	if err == nil && !known {
		ms, err = h.bus.Last(ctx, room, historyLast)
		end = bus.Offset{}
	}
	if err != nil {
		return nil, false, after, err
	}
	if len(ms) > 0 {
		end = ms[len(ms)-1].Place
	}
	return ms, truncated, end, nil
}

// welcome sends the welcome: from then on m is told what happens.
func (r *room) welcome(m *Member, history []bus.Message, truncated bool, cursor bus.Offset) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.left {
		return
	}
	if history == nil {
		history = []bus.Message{}
	}
	h := r.hub
	m.emit("welcome", welcome{
		Name: m.name, Room: r.name, Slot: h.slot, Worker: h.worker, Strategy: h.strategy,
		Members: r.latest(), Count: r.count(), History: history, Truncated: truncated,
	})
	m.welcomed = true
	m.cursor = cursor
	m.seen = r.shown + uint64(len(r.log))
}

// readUp gives m what it has not seen until it stands where the room stands,
// and makes it live. Where the bus is gone it waits for its return. missed:
// it has not got its history yet; resumes: that begins behind its cursor.
func (m *Member) readUp(missed, resumes bool) {
	h, r := m.hub, m.room
	var retry bus.Pause
	for {
		for _, wait := range []<-chan struct{}{r.open, h.reading()} {
			select {
			case <-wait:
			case <-m.gone:
				return
			case <-h.ctx.Done():
				return
			}
		}
		done, err := m.readOn(&missed, resumes)
		if done {
			return
		}
		if err != nil && !retry.Wait(h.ctx, nil) {
			return
		}
	}
}

// readOn does one read; done when m is live, or has left.
func (m *Member) readOn(missed *bool, resumes bool) (done bool, err error) {
	r := m.room
	r.mu.Lock()
	cursor, target := m.cursor, r.last
	if m.left {
		r.mu.Unlock()
		return true, nil
	}
	if !*missed && !target.After(cursor) {
		m.live = true
		r.mu.Unlock()
		return true, nil
	}
	r.mu.Unlock()

	var ms []bus.Message
	if *missed {
		ms, _, cursor, err = m.hub.history(m.hub.ctx, r.name, cursor, resumes)
	} else {
		ms, err = m.hub.after(r.name, cursor)
	}
	if err != nil {
		return false, err
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	if m.left {
		return true, nil
	}
	switch {
	case *missed:
		*missed = false
		if m.cursor.After(cursor) {
			m.cursor = bus.Offset{} // the client's offset is of some other stream
		}
		m.give(ms, boxed(ms))
	case len(ms) == 0 && r.last == target:
		// What the room was told and m was not is no longer kept. The cursor
		// stays: it may be of a stream that began anew, which the feed has yet
		// to find out.
		m.live = true
	default:
		m.give(ms, boxed(ms))
	}
	return m.live, nil
}

func (h *Hub) after(room string, cursor bus.Offset) ([]bus.Message, error) {
	select {
	case h.read <- struct{}{}:
		defer func() { <-h.read }()
	case <-h.ctx.Done():
		return nil, h.ctx.Err()
	}
	return h.bus.After(h.ctx, room, cursor, readMax)
}

// append stores one message, unless its time is up.
func (h *Hub) append(room, key string, p pending) (string, error) {
	ctx, cancel := context.WithDeadline(h.ctx, p.due)
	defer cancel()
	return h.bus.Append(ctx, room, key, p.message)
}
