package chat

import (
	"cmp"
	"slices"
	"sync"

	"github.com/samedoor/samedoor/internal/bus"
)

// membersMax is how many members a welcome lists, the latest ones.
const membersMax = 200

// person is a member as clients are told of it.
type person struct {
	Name string `json:"name"`
	Slot int    `json:"slot"`
}

// room is one room as this worker sees it.
type room struct {
	hub  *Hub
	name string
	held int           // members, guarded by hub.mu: when none is left the room is forgotten
	open chan struct{} // closed when the feed reads it for the first time

	mu      sync.Mutex // held while members are told something, never over a call to the bus
	members map[*Member]struct{}
	others  map[string]map[string]bus.Member // other workers' members, by worker and id
	opened  bool
	last    bus.Offset // every live member was given all up to here

	log   changes // who came and went, as far as not all members are told
	shown uint64  // how many changes all members are told
}

func newRoom(h *Hub, name string) *room {
	return &room{
		hub: h, name: name,
		open:    make(chan struct{}),
		members: map[*Member]struct{}{},
		others:  map[string]map[string]bus.Member{},
	}
}

// add makes m a member whom the others see; it is told nothing until welcome.
func (r *room) add(m *Member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members[m] = struct{}{}
	r.note(m.public(), true)
}

// remove reports whether m was a member, and whether it was typing.
func (r *room) remove(m *Member) (left, typing bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.left {
		return false, false
	}
	m.left = true
	close(m.gone)
	delete(r.members, m)
	r.note(m.public(), false)
	if m.typing {
		r.tellTyping(m, m.name, false)
	}
	return true, m.typing
}

// typed tells the members here, and reports whether m still is one.
func (r *room) typed(m *Member, on bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.left {
		return false
	}
	m.typing = on
	r.tellTyping(m, m.name, on)
	return true
}

// tellTyping needs r.mu.
func (r *room) tellTyping(except *Member, name string, on bool) {
	event := struct {
		Name string `json:"name"`
		On   bool   `json:"on"`
	}{name, on}
	for m := range r.members {
		if m != except && m.welcomed {
			m.emit("typing", event)
		}
	}
}

// count needs r.mu.
func (r *room) count() int {
	n := len(r.members)
	for _, members := range r.others {
		n += len(members)
	}
	return n
}

// latest needs r.mu.
func (r *room) latest() []person {
	all := make([]bus.Member, 0, r.count())
	for m := range r.members {
		all = append(all, m.public())
	}
	for _, members := range r.others {
		for _, m := range members {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b bus.Member) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.ID, b.ID)) })
	all = all[max(0, len(all)-membersMax):]
	people := make([]person, len(all))
	for i, m := range all {
		people[i] = person{m.Name, m.Slot}
	}
	return people
}

// local returns this worker's members as others know them.
func (r *room) local() []bus.Member {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]bus.Member, 0, len(r.members))
	for m := range r.members {
		all = append(all, m.public())
	}
	return all
}
