package chat

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/samedoor/samedoor/internal/bus"
)

const (
	storeLimit = 2500 * time.Millisecond // a message is acknowledged or refused within this
	queueMax   = 256                     // messages of one client that wait for the bus
	typingRate = 10                      // typing events a second per client
)

// Member is a client in its room.
type Member struct {
	hub    *Hub
	room   *room
	client Client
	id     string // on the bus; unlike the client's, never used twice in a worker's life
	name   string
	key    string // whose message ids these are
	since  int64  // milliseconds since 1970

	messages *rate.Limiter // nil: no limit
	typings  *rate.Limiter
	gone     chan struct{} // closed when it leaves

	// Guarded by room.mu.
	left     bool
	typing   bool
	welcomed bool
	live     bool       // is given what the feed reads; else someone reads up for it
	cursor   bus.Offset // has been given everything up to here
	seen     uint64     // place in room.log up to which it knows who is here

	queue struct {
		sync.Mutex
		waiting []pending
		served  bool // a goroutine works on it
	}
}

// pending is a message on its way to the bus.
type pending struct {
	message bus.Message
	ack     func(any)
	due     time.Time
}

// answer is the acknowledgement of a chat message.
type answer struct {
	OK     bool   `json:"ok"`
	Offset string `json:"offset,omitempty"`
	Error  string `json:"error,omitempty"`
}

// Join brings a client into the room its handshake's auth names; auth is
// decoded JSON of any kind. It returns at once. The client is sent `welcome`
// as soon as its history is read, or after a second without it, at once while
// the bus is known to be gone; what it missed follows as `chat` then.
func (h *Hub) Join(c Client, auth any) *Member {
	g := parseAuth(auth)
	m := &Member{
		hub: h, client: c, name: g.name,
		id:    fmt.Sprintf("%s.%d", h.name, h.serial.Add(1)),
		key:   "client " + g.client,
		since: time.Now().UnixMilli(),
		gone:  make(chan struct{}),

		typings: rate.NewLimiter(typingRate, 2*typingRate),
	}
	if g.client == "" {
		// Another word in front: nobody can claim this key in a handshake.
		m.key = "session " + h.worker + " " + c.ID()
	}
	if h.rate > 0 {
		m.messages = rate.NewLimiter(rate.Limit(h.rate), max(1, int(math.Ceil(2*h.rate))))
	}
	m.room = h.enter(g.room)
	m.room.add(m)
	h.out.joined(m.room.name, m.public())
	if !h.spawn(func() { m.arrive(g.after, g.resumes) }) {
		m.room.welcome(m, nil, false, bus.Offset{})
	}
	return m
}

// Chat takes a chat event: args as the client sent them, decoded. ack is nil
// if the client asked for none. It returns at once; ack is called once, from
// this or another goroutine, with {"ok":true,"offset"} or {"ok":false,"error"}.
func (m *Member) Chat(args []any, ack func(any)) {
	id, text, wrong := parseChat(args)
	switch {
	case wrong != "":
		m.refuse(ack, wrong)
		return
	case m.messages != nil && !m.messages.Allow():
		m.refuse(ack, fmt.Sprintf("too many messages: at most %g a second", m.hub.rate))
		return
	}
	p := pending{bus.Message{ID: id, Name: m.name, Slot: m.hub.slot, Text: text}, ack, time.Now().Add(storeLimit)}

	m.queue.Lock()
	full := len(m.queue.waiting) >= queueMax
	start := !full && !m.queue.served
	if !full {
		m.queue.waiting = append(m.queue.waiting, p)
		m.queue.served = true
	}
	m.queue.Unlock()
	switch {
	case full:
		m.refuse(ack, "too many messages are waiting to be stored: send this one again later")
	case start && !m.hub.spawn(m.store):
		m.refuse(ack, "this worker is going away: send the message again")
	}
}

// store stores what waits, one after another: a client's messages keep their
// order. Each has its own time to live, so a queue that waits for a bus which
// does not answer is refused all at once.
func (m *Member) store() {
	for {
		m.queue.Lock()
		if len(m.queue.waiting) == 0 {
			m.queue.waiting, m.queue.served = nil, false
			m.queue.Unlock()
			return
		}
		p := m.queue.waiting[0]
		m.queue.waiting = m.queue.waiting[1:]
		m.queue.Unlock()

		offset, err := m.hub.append(m.room.name, m.key, p)
		switch {
		case err == nil:
			m.answer(p.ack, answer{OK: true, Offset: offset})
		case errors.Is(err, bus.ErrGone):
			m.refuse(p.ack, "the message could not be stored, as the bus is out of reach: send it again in a moment")
		case errors.Is(err, bus.ErrRooms):
			m.refuse(p.ack, bus.ErrRooms.Error())
		default:
			m.refuse(p.ack, "the message could not be stored: send it again in a moment")
		}
	}
}

// Typing takes a typing event and tells the others in the room, here and on
// other workers. What is wrong or too much is dropped and counted.
func (m *Member) Typing(args []any) {
	on, ok := parseTyping(args)
	if !ok || !m.typings.Allow() {
		m.hub.dropped.Add(1)
		return
	}
	if m.room.typed(m, on) {
		m.hub.out.typed(m.room.name, bus.Typing{Name: m.name, On: on})
	}
}

// Leave takes the member out of its room. Messages it had sent are stored all
// the same. Calling it again does nothing.
func (m *Member) Leave() {
	// A client whose Emit finds the socket dead may get here while the room
	// is being told something: that must not wait for itself.
	if !m.room.mu.TryLock() {
		m.hub.spawn(m.leave) // if Run has ended nobody is told anything any more
		return
	}
	m.room.mu.Unlock()
	m.leave()
}

func (m *Member) leave() {
	left, stopped := m.room.remove(m)
	if !left {
		return
	}
	if stopped {
		m.hub.out.typed(m.room.name, bus.Typing{Name: m.name})
	}
	m.hub.exit(m.room)
	m.hub.out.left(m.room.name, m.id)
}

func (m *Member) public() bus.Member {
	return bus.Member{ID: m.id, Name: m.name, Slot: m.hub.slot, At: m.since}
}

func (m *Member) refuse(ack func(any), why string) {
	if ack == nil {
		m.hub.dropped.Add(1)
		return
	}
	m.answer(ack, answer{Error: why})
}

func (m *Member) answer(ack func(any), a answer) {
	if ack == nil {
		return
	}
	defer m.hub.survive("ack")
	ack(a)
}

func (m *Member) emit(event string, args ...any) {
	defer m.hub.survive(event)
	m.client.Emit(event, args...)
}
