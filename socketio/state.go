package socketio

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/samedoor/samedoor/socketio/engine"
)

// State is all that makes up a client, apart from goroutines, connections and
// handlers: a plain value, which JSON can carry.
type State struct {
	Session engine.State
	Sockets []SocketState
	Left    []string // namespaces that it was disconnected from, see client.left

	// Partial is a packet whose attachments have not all come.
	Partial *PartialPacket `json:",omitempty"`
}

// SocketState is a client's socket in a namespace.
type SocketState struct {
	Namespace string
	ID        string
	Auth      json.RawMessage
	Time      time.Time
	Rooms     []string
	Data      map[string]any `json:",omitempty"`
	Acks      []uint64       `json:",omitempty"` // ids of acknowledgements that are waited for
}

// A PartialPacket is a packet that waits for attachments.
type PartialPacket struct {
	Type        byte
	Namespace   string
	ID          uint64 // all bits set: none
	Event       string
	Args        []json.RawMessage
	Attachments [][]byte
	Missing     int
}

// Snapshot copies the state of a client, by its session's id.
func (s *Server) Snapshot(sid string) (State, bool) {
	sess, ok := s.engine.Session(sid)
	if !ok {
		return State{}, false
	}
	st := State{Session: sess.Snapshot()}
	if c, ok := sess.Handler().(*client); ok {
		c.snapshot(&st)
	}
	return st, true
}

func (c *client) snapshot(st *State) {
	c.mu.Lock()
	sockets := slices.Clone(c.sockets)
	st.Left = slices.Clone(c.left)
	if p := c.dec.pending; p != nil {
		st.Partial = &PartialPacket{p.typ, p.nsp, p.id, p.event, p.args.raw, p.args.bins, p.missing}
	}
	c.mu.Unlock()
	for _, s := range sockets {
		one := SocketState{
			Namespace: s.nsp.name, ID: s.id, Auth: s.handshake.Auth, Time: s.handshake.Time,
			Rooms: s.Rooms(), Data: s.Data(),
		}
		s.mu.Lock()
		for id := range s.acks {
			one.Acks = append(one.Acks, id)
		}
		s.mu.Unlock()
		slices.Sort(one.Acks)
		st.Sockets = append(st.Sockets, one)
	}
}
