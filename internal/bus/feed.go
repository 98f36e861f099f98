package bus

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Handler is told what a [Feed] reads: functions called one after another from
// the feed's goroutine. They must not wait for the feed.
type Handler struct {
	// Opened tells that a room is read from now on: messages after from will
	// come through Messages, everything up to last stands in the stream now,
	// and members are all there are, by worker, this one's own left out. It
	// comes again after an outage: then from is what was read before it, or
	// the zero Offset if the stream has been lost and begun anew with offsets
	// that are lower than what was read.
	Opened func(room string, from, last Offset, members map[string][]Member)

	// Messages of a room, in the stream's order, each once.
	Messages func(room string, ms []Message)

	// Changed tells about another worker's members. It may repeat what is known.
	Changed func(room, worker string, joined []Member, left []string)

	// Replaced tells all members another worker has in a room.
	Replaced func(room, worker string, members []Member)

	// Cleared tells that another worker took this one for dead and has removed
	// its members: publish them again.
	Cleared func(room string)

	// Typing comes from other workers only.
	Typing func(room string, t Typing)

	// State tells that reading works (up) or no more. Up comes after a start, an
	// outage, and when the server has lost its data: whatever others know about
	// this worker's members may be old or gone, so publish all of it again.
	State func(up bool)
}

const (
	blockFor   = time.Second     // how long one read waits at the server
	checkEvery = 2 * time.Second // how often we look whether the server has lost its data
	readCount  = 256             // what one read returns per stream at the most

	// A reader that was silent for longer than this was suspended, and others
	// may have taken its worker for dead meanwhile.
	suspended = 5 * time.Second
)

// Feed reads the streams of all rooms a worker has members in, with one
// blocking read on one connection however many rooms there are.
type Feed struct {
	bus     *Bus
	worker  string
	by      string // this feed's own name in what it writes: ids have successors
	handler Handler

	mu    sync.Mutex
	rooms map[string]*watched
	poke  chan struct{} // the set of rooms has grown

	// The reading goroutine's own.
	synced  bool
	epoch   string
	checked time.Time // when the epoch was last looked at
	alive   time.Time // when a read last ended well
	wake    string    // place in the wake stream
}

// watched is a room that is read.
type watched struct {
	room     string
	opened   bool   // read now
	started  bool   // opened at least once: messages has a place
	messages Offset // last read of each stream
	events   Offset
	lag      int // events read since a read last returned all there were
}

// Feed returns the feed of the worker named by id. A worker has one.
func (b *Bus) Feed(id string, h Handler) *Feed {
	return &Feed{
		bus: b, worker: id, by: rand.Text()[:12], handler: h,
		rooms: map[string]*watched{}, poke: make(chan struct{}, 1),
	}
}

// Watch begins to read a room, soon; Opened tells when.
func (f *Feed) Watch(room string) {
	f.mu.Lock()
	f.rooms[room] = &watched{room: room}
	f.mu.Unlock()
	select {
	case f.poke <- struct{}{}:
	default:
	}
}

// Unwatch ends it. A call to the handler about the room may be under way.
func (f *Feed) Unwatch(room string) {
	f.mu.Lock()
	delete(f.rooms, room)
	f.mu.Unlock()
}

// Run reads until ctx is done. It returns nil then, within three seconds even
// if the server has stopped answering.
func (f *Feed) Run(ctx context.Context) error {
	var waker sync.WaitGroup
	waker.Go(func() { f.wakeReader(ctx) })
	defer waker.Wait()
	var failing complaint
	var retry Pause
	for ctx.Err() == nil {
		err := f.step(ctx)
		if ctx.Err() != nil {
			break
		}
		failing.note(f.bus.log, "reading rooms", err)
		if err == nil {
			retry.Reset()
			continue
		}
		if f.synced {
			f.synced = false
			f.handler.State(false)
		}
		retry.Wait(ctx, nil)
	}
	return nil
}

// wakeReader ends the reader's wait, so that a room just watched is read at
// once, or that Run ends. It is a goroutine as it talks to the server.
func (f *Feed) wakeReader(ctx context.Context) {
	for done := false; !done; {
		select {
		case <-ctx.Done():
			done = true
		case <-f.poke:
		}
		_ = f.bus.do(context.WithoutCancel(ctx), time.Second, func(ctx context.Context) error {
			_, err := f.bus.client.Pipelined(ctx, func(p redis.Pipeliner) error {
				p.XAdd(ctx, &redis.XAddArgs{Stream: wakeKey(f.worker), MaxLen: 1, Values: []any{"w", "1"}})
				p.Expire(ctx, wakeKey(f.worker), time.Minute)
				return nil
			})
			return err
		}) // if it fails the reader's wait has ended with an error, or does so soon
	}
}

// step brings everything up to date and does one read.
func (f *Feed) step(ctx context.Context) error {
	if err := f.sync(ctx); err != nil {
		return err
	}
	if err := f.open(ctx); err != nil {
		return err
	}
	return f.read(ctx)
}

// sync finds out, after an outage and now and then, whether the server still
// has the data we know; if not, every room is opened again.
func (f *Feed) sync(ctx context.Context) error {
	if f.synced && time.Since(f.alive) < suspended {
		if time.Since(f.checked) < checkEvery {
			return nil
		}
		var epoch string
		err := f.bus.do(ctx, callLimit, func(ctx context.Context) (err error) {
			epoch, err = f.bus.client.Get(ctx, epochKey).Result()
			return err
		})
		if err != nil && !errors.Is(err, redis.Nil) {
			return fmt.Errorf("look at the bus: %w", err)
		}
		if f.checked = time.Now(); epoch == f.epoch {
			return nil
		}
	}
	var now string
	var woken []redis.XMessage
	err := f.bus.do(ctx, callLimit, func(ctx context.Context) error {
		p := f.bus.client.Pipeline()
		p.SetNX(ctx, epochKey, rand.Text(), 0)
		epoch := p.Get(ctx, epochKey)
		wake := p.XRevRangeN(ctx, wakeKey(f.worker), "+", "-", 1)
		_, err := p.Exec(ctx)
		now, woken = epoch.Val(), wake.Val()
		return err
	})
	if err != nil {
		return fmt.Errorf("look at the bus: %w", err)
	}
	f.checked, f.alive = time.Now(), time.Now()
	f.epoch, f.wake = now, "0-0"
	if len(woken) > 0 {
		f.wake = woken[0].ID
	}
	f.mu.Lock()
	for _, w := range f.rooms {
		w.opened = false
	}
	f.mu.Unlock()
	f.synced = true
	f.handler.State(true)
	return nil
}

// read waits for anything new in any of the streams.
func (f *Feed) read(ctx context.Context) error {
	f.mu.Lock()
	n := len(f.rooms)
	messages, events := make(map[string]*watched, n), make(map[string]*watched, n)
	keys, places := make([]string, 0, 4*n+2), make([]string, 0, 2*n+1)
	keys, places = append(keys, wakeKey(f.worker)), append(places, f.wake)
	for room, w := range f.rooms {
		if !w.opened {
			continue // watched since open: its wake is on its way
		}
		m, e := messagesKey(room), eventsKey(room)
		messages[m], events[e] = w, w
		keys, places = append(keys, m, e), append(places, w.messages.String(), w.events.String())
	}
	f.mu.Unlock()

	var streams []redis.XStream
	err := f.bus.do(ctx, blockFor+callLimit, func(ctx context.Context) (err error) {
		streams, err = f.bus.client.XRead(ctx, &redis.XReadArgs{
			Streams: append(keys, places...), Count: readCount, Block: blockFor,
		}).Result()
		return err
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("read streams: %w", err)
	}
	f.alive = time.Now()
	var resets resets
	for _, s := range streams {
		if len(s.Messages) == 0 {
			continue
		}
		end := s.Messages[len(s.Messages)-1].ID
		if s.Stream == wakeKey(f.worker) {
			f.wake = end
			continue
		}
		place, err := serverOffset(end)
		if err != nil {
			return err
		}
		if w := messages[s.Stream]; w != nil && f.current(w) {
			w.messages = place
			if ms := decodeMessages(s.Messages); len(ms) > 0 {
				f.handler.Messages(w.room, ms)
			}
		} else if w := events[s.Stream]; w != nil && f.current(w) {
			w.events = place
			f.dispatch(w.room, s.Messages, &resets)
			if w.lag += len(s.Messages); w.lag >= eventsKeep {
				w.lag, f.synced = 0, false // some may have been dropped before we read them
			} else if len(s.Messages) < readCount {
				w.lag = 0
			}
		}
	}
	return f.reread(ctx, resets)
}

// current reports whether a room is watched still, and has not been given up
// and watched anew since.
func (f *Feed) current(w *watched) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rooms[w.room] == w
}
