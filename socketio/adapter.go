package socketio

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"
)

// Target says which sockets an operation is for.
type Target struct {
	Rooms  []string // those in any of them; all if empty
	Except []string // but for those in any of these
	Flags  Flags
}

// Flags modify an operation.
type Flags struct {
	Volatile bool
	Local    bool          // this server only
	Timeout  time.Duration // for acknowledgements
}

// An Adapter knows which sockets of a namespace are in which rooms, and carries
// what concerns many of them to the other servers of a cluster. Methods are
// called from many goroutines, and must not wait for the cluster unless they
// take a context.
type Adapter interface {
	// AddAll, Del and DelAll keep the rooms of a socket of this server.
	AddAll(id string, rooms []string)
	Del(id, room string)
	DelAll(id string)
	// SocketRooms are the rooms that a socket is in, its own id's included.
	SocketRooms(id string) []string

	// Broadcast sends an event: data is its name and arguments. What is sent to
	// this server's sockets never waits for other servers.
	Broadcast(data []any, to Target) error
	// BroadcastWithAck does so and wants acknowledgements: it calls count once
	// for each server, with the number of its sockets, and ack for each answer,
	// until ctx is done.
	BroadcastWithAck(ctx context.Context, data []any, to Target, count func(int), ack func(Args)) error
	// ServerCount is the number of servers in the cluster, this one included.
	ServerCount(ctx context.Context) (int, error)

	FetchSockets(ctx context.Context, to Target) ([]SocketDetails, error)
	AddSockets(to Target, rooms []string) error
	DelSockets(to Target, rooms []string) error
	DisconnectSockets(to Target, closeConnection bool) error

	// ServerSideEmit sends an event to the other servers' DeliverServerSide.
	ServerSideEmit(data []any) error
	ServerSideEmitWithAck(ctx context.Context, data []any) ([]any, error)

	// Close ends the adapter. It may be called more than once.
	Close()
}

// SocketDetails describe a socket of any server.
type SocketDetails struct {
	ID        string          `json:"id"`
	Handshake json.RawMessage `json:"handshake"` // as Node describes it
	Rooms     []string        `json:"rooms"`
	Data      json.RawMessage `json:"data"`
}

// A MemoryAdapter is the Adapter of a single server, and the part of others'
// that concerns their own sockets.
type MemoryAdapter struct {
	nsp *Namespace

	mu    sync.RWMutex
	rooms map[string]map[string]struct{} // ids by room
	ids   map[string][]string            // rooms by id, but for its own
}

// NewMemoryAdapter returns the adapter of a namespace.
func NewMemoryAdapter(n *Namespace) *MemoryAdapter {
	return &MemoryAdapter{nsp: n, rooms: map[string]map[string]struct{}{}, ids: map[string][]string{}}
}

func (a *MemoryAdapter) AddAll(id string, rooms []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range rooms {
		if r == id || slices.Contains(a.ids[id], r) { // a socket's own room needs no entry
			continue
		}
		a.ids[id] = append(a.ids[id], r)
		if a.rooms[r] == nil {
			a.rooms[r] = map[string]struct{}{}
		}
		a.rooms[r][id] = struct{}{}
	}
}

func (a *MemoryAdapter) Del(id, room string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if i := slices.Index(a.ids[id], room); i >= 0 {
		a.ids[id] = slices.Delete(a.ids[id], i, i+1)
		if len(a.ids[id]) == 0 {
			delete(a.ids, id)
		}
		a.del(id, room)
	}
}

func (a *MemoryAdapter) del(id, room string) {
	if delete(a.rooms[room], id); len(a.rooms[room]) == 0 {
		delete(a.rooms, room)
	}
}

func (a *MemoryAdapter) DelAll(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.ids[id] {
		a.del(id, r)
	}
	delete(a.ids, id)
}

func (a *MemoryAdapter) SocketRooms(id string) []string {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return append([]string{id}, a.ids[id]...)
}

// Rooms are all rooms but those of single sockets.
func (a *MemoryAdapter) Rooms() []string {
	a.mu.RLock()
	defer a.mu.RUnlock()
	out := make([]string, 0, len(a.rooms))
	for r := range a.rooms {
		out = append(out, r)
	}
	return out
}

// Has says whether a socket of this server is in the room.
func (a *MemoryAdapter) Has(room string) bool {
	a.mu.RLock()
	_, ok := a.rooms[room]
	a.mu.RUnlock()
	if !ok {
		_, ok = a.nsp.Socket(room)
	}
	return ok
}

// Sockets are this server's sockets that to is for. They are collected before
// anything is done with them, so that doing it may change rooms.
func (a *MemoryAdapter) Sockets(to Target) []*Socket {
	a.mu.RLock()
	defer a.mu.RUnlock()
	n := a.nsp
	n.mu.RLock()
	defer n.mu.RUnlock()
	excepted := func(id string) bool {
		for _, r := range to.Except {
			if r == id {
				return true
			}
			if _, in := a.rooms[r][id]; in {
				return true
			}
		}
		return false
	}
	if len(to.Rooms) == 0 {
		out := make([]*Socket, 0, len(n.sockets))
		for id, s := range n.sockets {
			if len(to.Except) == 0 || !excepted(id) {
				out = append(out, s)
			}
		}
		return out
	}
	var out []*Socket
	var seen map[string]struct{}
	if len(to.Rooms) > 1 {
		seen = map[string]struct{}{}
	}
	take := func(id string) {
		s := n.sockets[id]
		if s == nil || excepted(id) {
			return
		}
		if seen != nil {
			if _, twice := seen[id]; twice {
				return
			}
			seen[id] = struct{}{}
		}
		out = append(out, s)
	}
	for _, r := range to.Rooms {
		take(r)
		members := a.rooms[r]
		out = slices.Grow(out, len(members))
		for id := range members {
			if id != r {
				take(id)
			}
		}
	}
	return out
}
