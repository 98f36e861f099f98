// Package trace remembers the latest Engine.IO requests that a worker saw, so
// that the page can show what JavaScript cannot see: the status of a
// WebSocket's handshake, and which worker answered. It adds nothing to
// Socket.IO traffic.
package trace

import (
	"slices"
	"sync"
)

// An Entry is one request as the worker that answered it saw it.
type Entry struct {
	At        int64  `json:"at"`        // when it arrived, milliseconds since 1970
	Step      string `json:"step"`      // open, post, poll, upgrade, close
	Method    string `json:"method"`    // HTTP method
	Transport string `json:"transport"` // polling or websocket, as the request asked
	Status    int    `json:"status"`    // HTTP status; for close that of the WebSocket's handshake
	Slot      int    `json:"slot"`      // of the worker that answered
	Owner     *int   `json:"owner"`     // slot that the sid names; null if unknown
	Via       *int   `json:"via"`       // slot of the worker that forwarded it, or null

	// MS is how long the answer took, in milliseconds: for a poll how long it
	// was held, for close how long the WebSocket lived.
	MS float64 `json:"ms"`

	Sent     int64   `json:"sent"`     // bytes of body or frames from the worker
	Received int64   `json:"received"` // bytes of body or frames from the client
	Error    *string `json:"error"`    // why it was not served, or null

	SID string `json:"-"`
}

// A Ring holds the latest entries; the oldest make room.
type Ring struct {
	mu   sync.Mutex
	buf  []Entry
	next int
}

// NewRing returns a ring of at most size entries.
func NewRing(size int) *Ring { return &Ring{buf: make([]Entry, 0, size)} }

// Add records e.
func (r *Ring) Add(e Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.buf) < cap(r.buf) {
		r.buf = append(r.buf, e)
		return
	}
	r.buf[r.next] = e
	r.next = (r.next + 1) % len(r.buf)
}

// Of returns what is remembered of session sid and arrived at or after since
// (milliseconds since 1970), oldest first; never nil.
func (r *Ring) Of(sid string, since int64) []Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := []Entry{}
	for _, e := range r.buf {
		if e.SID == sid && e.At >= since {
			found = append(found, e)
		}
	}
	Sort(found)
	return found
}

// Sort orders entries, of several workers too, by the time they arrived; those
// of the same millisecond in the order of the protocol.
func Sort(es []Entry) {
	slices.SortStableFunc(es, func(a, b Entry) int {
		if a.At != b.At {
			return int(a.At - b.At)
		}
		return order[a.Step] - order[b.Step]
	})
}

var order = map[string]int{"open": 0, "post": 1, "poll": 2, "upgrade": 3, "close": 4}
