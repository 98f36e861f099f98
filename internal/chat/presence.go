package chat

import (
	"context"
	"sync"
	"time"

	"github.com/samedoor/samedoor/internal/bus"
)

// gather is how long a room's comings and goings are gathered before its
// members are told. In any second it leaves room for 4 times, not 5.
const gather = 300 * time.Millisecond

// tellAtOnce bounds how many changes one event holds; a crowd that comes or
// goes at once is told in several.
const tellAtOnce = 500

// change is somebody coming or going.
type change struct {
	person
	came bool
}

// changes are in the order they happened. Each member knows how many of all
// there ever were it has been told, so that one who was just welcomed is not
// told what its welcome already said.
type changes []change

// presence is what members are sent.
type presence struct {
	Joined []person `json:"joined"`
	Left   []person `json:"left"`
	Count  int      `json:"count"`
}

// sum leaves out who came and went, or went and came back.
func (c changes) sum() presence {
	net := make(map[person]int, len(c))
	for _, ch := range c {
		if ch.came {
			net[ch.person]++
		} else {
			net[ch.person]--
		}
	}
	p := presence{Joined: []person{}, Left: []person{}}
	for _, ch := range c { // not over net: in the order they came
		switch n := net[ch.person]; {
		case ch.came && n > 0:
			p.Joined = append(p.Joined, ch.person)
			net[ch.person]--
		case !ch.came && n < 0:
			p.Left = append(p.Left, ch.person)
			net[ch.person]++
		}
	}
	return p
}

// note needs r.mu.
func (r *room) note(m bus.Member, came bool) {
	if len(r.log) == 0 {
		r.hub.due.push(r, time.Now().Add(gather))
	}
	r.log = append(r.log, change{person{m.Name, m.Slot}, came})
}

// tell tells the members who came and went, and reports whether there is more.
func (r *room) tell() (more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(len(r.log), max(tellAtOnce, len(r.log)/4))
	part, end, count := r.log[:n], r.shown+uint64(n), r.count()
	sums := map[uint64]presence{} // by place: who were welcomed together are told the same
	for m := range r.members {
		if !m.welcomed || m.seen >= end {
			continue
		}
		from := max(m.seen, r.shown)
		p, ok := sums[from]
		if !ok {
			p = part[from-r.shown:].sum()
			p.Count = count
			sums[from] = p
		}
		m.seen = end
		if len(p.Joined)+len(p.Left) > 0 {
			m.emit("presence", p)
		}
	}
	r.shown = end
	r.log = append(changes(nil), r.log[n:]...)
	return len(r.log) > 0
}

// dueQueue holds rooms by the time at which their members are to be told. All
// wait equally long, so it is in order by itself.
type dueQueue struct {
	mu    sync.Mutex
	rooms []dueRoom
	poke  chan struct{}
}

type dueRoom struct {
	room *room
	at   time.Time
}

func (q *dueQueue) init() { q.poke = make(chan struct{}, 1) }

func (q *dueQueue) push(r *room, at time.Time) {
	q.mu.Lock()
	q.rooms = append(q.rooms, dueRoom{r, at})
	q.mu.Unlock()
	select {
	case q.poke <- struct{}{}:
	default:
	}
}

func (q *dueQueue) pop() (dueRoom, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.rooms) == 0 {
		return dueRoom{}, false
	}
	d := q.rooms[0]
	q.rooms = q.rooms[1:]
	return d, true
}

// tellPresence tells rooms when they are due.
func (h *Hub) tellPresence(ctx context.Context) {
	for {
		d, ok := h.due.pop()
		if !ok {
			select {
			case <-ctx.Done():
				return
			case <-h.due.poke:
				continue
			}
		}
		if !sleep(ctx, time.Until(d.at)) {
			return
		}
		if d.room.tell() {
			h.due.push(d.room, time.Now().Add(gather))
		}
	}
}

// sleep reports false when ctx ended meanwhile.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// changed applies what another worker told about its members. What is known
// already changes nothing.
func (h *Hub) changed(name, worker string, joined []bus.Member, left []string) {
	r := h.room(name)
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.opened {
		return
	}
	known := r.others[worker]
	if known == nil {
		known = map[string]bus.Member{}
		r.others[worker] = known
	}
	for _, m := range joined {
		if _, ok := known[m.ID]; !ok {
			known[m.ID] = m
			r.note(m, true)
		}
	}
	for _, id := range left {
		if m, ok := known[id]; ok {
			delete(known, id)
			r.note(m, false)
		}
	}
	if len(known) == 0 {
		delete(r.others, worker)
	}
}

// replaced applies all members another worker has.
func (h *Hub) replaced(name, worker string, all []bus.Member) {
	r := h.room(name)
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.opened {
		r.replace(worker, all)
	}
}

// replace needs r.mu.
func (r *room) replace(worker string, all []bus.Member) {
	before, now := r.others[worker], make(map[string]bus.Member, len(all))
	for _, m := range all {
		now[m.ID] = m
		if _, ok := before[m.ID]; !ok {
			r.note(m, true)
		}
	}
	for id, m := range before {
		if _, ok := now[id]; !ok {
			r.note(m, false)
		}
	}
	if r.others[worker] = now; len(now) == 0 {
		delete(r.others, worker)
	}
}

// typing tells the members here what another worker's member does.
func (h *Hub) typing(name string, t bus.Typing) {
	r := h.room(name)
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tellTyping(nil, t.Name, t.On)
}

// pruneDead forgets members of workers that died and have no successor. It
// waits a while after an outage: living workers need a moment to register.
func (h *Hub) pruneDead(ctx context.Context) {
	for sleep(ctx, h.prune.every) {
		h.mu.Lock()
		since := h.since
		h.mu.Unlock()
		if since.IsZero() || time.Since(since) < h.prune.grace {
			continue
		}
		seen := map[string][]string{} // worker to rooms
		for _, r := range h.all() {
			r.mu.Lock()
			for worker := range r.others {
				seen[worker] = append(seen[worker], r.name)
			}
			r.mu.Unlock()
		}
		named := make([]string, 0, len(seen))
		for worker := range seen {
			named = append(named, worker)
		}
		dead, err := h.bus.Dead(ctx, named)
		if err != nil {
			continue // the bus tells of its absence itself
		}
		for _, worker := range dead {
			if worker == h.worker {
				continue
			}
			if gone, err := h.feed.Prune(ctx, worker, seen[worker]); err == nil && gone {
				h.log.Info("members of a dead worker removed", "worker", worker, "rooms", len(seen[worker]))
			}
		}
	}
}
