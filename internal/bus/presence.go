package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// Member is somebody in a room, as the worker that holds the socket tells it.
type Member struct {
	ID   string `json:"id"` // unique in that worker
	Name string `json:"name"`
	Slot int    `json:"slot"`
	At   int64  `json:"at"` // when it came, milliseconds since 1970
}

// Typing says that somebody writes, or has stopped.
type Typing struct {
	Name string
	On   bool
}

// Update is what a worker has to tell about its own members of one room.
type Update struct {
	Room    string
	Replace bool // Joined are all of them: forget what was told before
	Empty   bool // none is left
	Joined  []Member
	Left    []string // ids
	Typing  []Typing
}

// event is an entry of a room's second stream.
type event struct {
	Worker string   `json:"w"`           // whose members it is about
	By     string   `json:"by"`          // the feed that wrote it
	Reset  bool     `json:"r,omitempty"` // read the worker's hash again
	Joined []Member `json:"j,omitempty"`
	Left   []string `json:"l,omitempty"`
	Typing string   `json:"t,omitempty"`
	On     bool     `json:"on,omitempty"`
}

const (
	eventField = "e"
	eventsKeep = 500              // a worker that missed more reads the hashes
	eventsLife = 10 * time.Minute // worth reading only at once
)

func (e event) args(room string) *redis.XAddArgs {
	text, err := json.Marshal(e)
	if err != nil {
		panic(err) // strings and numbers: cannot happen
	}
	return &redis.XAddArgs{Stream: eventsKey(room), MaxLen: eventsKeep, Approx: true, Values: []any{eventField, string(text)}}
}

// Publish tells other workers. After an error some of it may be known and some
// not; publish the rooms again with Replace.
func (f *Feed) Publish(ctx context.Context, updates []Update) error {
	for part := range slices.Chunk(updates, 64) {
		err := f.bus.do(ctx, callLimit, func(ctx context.Context) error {
			return f.bus.together(ctx, func(p redis.Pipeliner) {
				for _, u := range part {
					f.queue(ctx, p, u)
				}
			})
		})
		if err != nil {
			return fmt.Errorf("publish presence: %w", err)
		}
	}
	return nil
}

func (f *Feed) queue(ctx context.Context, p redis.Pipeliner, u Update) {
	members := membersKey(f.worker, u.Room)
	if u.Replace {
		p.Del(ctx, members)
	}
	if len(u.Left) > 0 {
		p.HDel(ctx, members, u.Left...)
	}
	if len(u.Joined) > 0 {
		fields := make([]any, 0, 2*len(u.Joined))
		for _, m := range u.Joined {
			text, _ := json.Marshal(m)
			fields = append(fields, m.ID, string(text))
		}
		p.HSet(ctx, members, fields...)
		p.SAdd(ctx, insideKey(u.Room), f.worker)
		p.SAdd(ctx, roomsKey(f.worker), u.Room)
	}
	if u.Empty {
		p.SRem(ctx, insideKey(u.Room), f.worker)
		p.SRem(ctx, roomsKey(f.worker), u.Room)
	}
	switch e := (event{Worker: f.worker, By: f.by}); {
	case u.Replace:
		e.Reset = true
		p.XAdd(ctx, e.args(u.Room))
	case len(u.Joined)+len(u.Left) > 0:
		e.Joined, e.Left = u.Joined, u.Left
		p.XAdd(ctx, e.args(u.Room))
	}
	for _, t := range u.Typing {
		p.XAdd(ctx, event{Worker: f.worker, By: f.by, Typing: t.Name, On: t.On}.args(u.Room))
	}
	p.Expire(ctx, eventsKey(u.Room), eventsLife)
}

// Rooms returns the rooms in which a worker of this feed's id has members on
// the bus: at a start, those of its predecessor.
func (f *Feed) Rooms(ctx context.Context) (rooms []string, err error) {
	err = f.bus.do(ctx, callLimit, func(ctx context.Context) error {
		rooms, err = f.bus.client.SMembers(ctx, roomsKey(f.worker)).Result()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read own presence: %w", err)
	}
	return rooms, nil
}

// Dead returns the workers whose lease has run out, among those of the
// registry and those named.
func (b *Bus) Dead(ctx context.Context, named []string) (dead []string, err error) {
	err = b.do(ctx, callLimit, func(ctx context.Context) error {
		ids, err := b.client.SMembers(ctx, workersKey).Result()
		if err != nil {
			return err
		}
		ids = append(ids, named...)
		slices.Sort(ids)
		ids = slices.Compact(ids)
		if len(ids) == 0 {
			return nil
		}
		keys := make([]string, len(ids))
		for i, id := range ids {
			keys[i] = leaseKey(id)
		}
		leases, err := b.client.MGet(ctx, keys...).Result()
		if err != nil {
			return err
		}
		for i, l := range leases {
			if l == nil {
				dead = append(dead, ids[i])
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for dead workers: %w", err)
	}
	return dead, nil
}

// pruneScript forgets a dead worker's members of one room, tells the others,
// and answers 1, or 0 if the worker lives after all.
var pruneScript = redis.NewScript(`
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('DEL', KEYS[2])
redis.call('SREM', KEYS[3], ARGV[1])
redis.call('SREM', KEYS[4], ARGV[2])
redis.call('XADD', KEYS[5], 'MAXLEN', '~', ARGV[4], '*', '` + eventField + `', ARGV[3])
redis.call('EXPIRE', KEYS[5], ARGV[5])
return 1
`)

// Prune forgets the members of a worker that died, in the rooms named and in
// those the bus knows of. It changes nothing if the worker has a lease; then
// gone is false. All workers may do it at the same time. The feeds, this one
// too, hear of it as of any event.
func (f *Feed) Prune(ctx context.Context, worker string, rooms []string) (gone bool, err error) {
	err = f.bus.do(ctx, callLimit, func(ctx context.Context) error {
		known, err := f.bus.client.SMembers(ctx, roomsKey(worker)).Result()
		if err != nil {
			return err
		}
		text, _ := json.Marshal(event{Worker: worker, By: f.by, Reset: true})
		rooms = append(slices.Clone(rooms), known...)
		slices.Sort(rooms)
		for _, room := range slices.Compact(rooms) {
			n, err := pruneScript.Run(ctx, f.bus.client,
				[]string{leaseKey(worker), membersKey(worker, room), insideKey(room), roomsKey(worker), eventsKey(room)},
				worker, room, text, eventsKeep, int(eventsLife.Seconds())).Int()
			if err != nil || n == 0 {
				return err
			}
		}
		gone = true
		return f.bus.client.SRem(ctx, workersKey, worker).Err() // a living one adds itself again
	})
	if err != nil {
		return false, fmt.Errorf("prune worker %s: %w", worker, err)
	}
	return gone, nil
}
