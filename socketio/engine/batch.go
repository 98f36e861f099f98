package engine

import (
	"sync"

	"github.com/samedoor/samedoor/socketio/internal/ws"
)

// A batch is what one system call writes.
type batch struct {
	bytes  []byte
	pooled *[]byte
}

// batchSize is up to where packets are copied together. A larger one goes alone,
// uncopied.
const batchSize = 64 << 10

var batches = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// gather takes from the queue what one call should write: a single packet as it
// is, several copied together, a close frame last. It returns the emptied queue
// for give.
func (s *Session) gather() (batch, []Packet) {
	q := s.state.Queue
	if len(q) == 0 {
		code := s.closeCode
		s.closeCode = -1 // nothing comes after it
		return batch{bytes: ws.CloseFrame(code, "")}, nil
	}
	if len(q) == 1 {
		return batch{bytes: s.take()[0].frame}, q
	}
	n, size := 0, 0
	for n < len(q) && (n == 0 || size+len(q[n].frame) <= batchSize) {
		size += len(q[n].frame)
		n++
	}
	var b batch
	if n == 1 {
		b.bytes = q[0].frame
	} else {
		b.pooled = batches.Get().(*[]byte)
		b.bytes = (*b.pooled)[:0]
		for _, p := range q[:n] {
			b.bytes = append(b.bytes, p.frame...)
		}
	}
	if n == len(q) {
		return b, s.take()
	}
	clear(q[:n])
	s.state.Queue = q[n:]
	s.state.Queued -= size
	return b, nil
}

func (b batch) free() {
	if b.pooled != nil {
		*b.pooled = b.bytes[:0]
		batches.Put(b.pooled)
	}
}
