package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"
)

// openAtOnce bounds how many rooms are opened in one round trip.
const openAtOnce = 128

// open starts reading the rooms that are not read yet.
func (f *Feed) open(ctx context.Context) error {
	for {
		f.mu.Lock()
		var rooms []*watched
		for _, w := range f.rooms {
			if !w.opened && len(rooms) < openAtOnce {
				rooms = append(rooms, w)
			}
		}
		f.mu.Unlock()
		if len(rooms) == 0 {
			return nil
		}
		if err := f.openThese(ctx, rooms); err != nil {
			return fmt.Errorf("open rooms: %w", err)
		}
	}
}

func (f *Feed) openThese(ctx context.Context, rooms []*watched) error {
	// Places first, members after: events in between are read again, which
	// does no harm, and none is missed.
	type ends struct {
		messages, events *redis.XMessageSliceCmd
		inside           *redis.StringSliceCmd
	}
	found := make([]ends, len(rooms))
	var all resets
	err := f.bus.do(ctx, callLimit, func(ctx context.Context) error {
		_, err := f.bus.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, w := range rooms {
				found[i] = ends{
					p.XRevRangeN(ctx, messagesKey(w.room), "+", "-", 1),
					p.XRevRangeN(ctx, eventsKey(w.room), "+", "-", 1),
					p.SMembers(ctx, insideKey(w.room)),
				}
			}
			return nil
		})
		return err
	})
	if err != nil {
		return err
	}
	for i, w := range rooms {
		for _, worker := range found[i].inside.Val() {
			if worker != f.worker {
				all = append(all, reset{w.room, worker})
			}
		}
	}
	rosters, err := f.rosters(ctx, all)
	if err != nil {
		return err
	}
	members := make(map[string]map[string][]Member, len(rooms))
	for i, r := range all {
		if members[r.room] == nil {
			members[r.room] = map[string][]Member{}
		}
		members[r.room][r.worker] = rosters[i]
	}
	for i, w := range rooms {
		last, err := end(found[i].messages.Val())
		if err != nil {
			return err
		}
		if w.events, err = end(found[i].events.Val()); err != nil {
			return err
		}
		switch {
		case !w.started:
			w.messages = last
		case w.messages.After(last):
			w.messages = Offset{} // another stream than the one we read
		}
		w.opened, w.started = true, true
		if f.current(w) {
			f.handler.Opened(w.room, w.messages, last, members[w.room])
		}
	}
	return nil
}

func end(newest []redis.XMessage) (Offset, error) {
	if len(newest) == 0 {
		return Offset{}, nil
	}
	return serverOffset(newest[0].ID)
}

// reset names a worker whose members of a room must be read.
type reset struct{ room, worker string }

type resets []reset

func (r *resets) add(room, worker string) {
	if !slices.Contains(*r, reset{room, worker}) {
		*r = append(*r, reset{room, worker})
	}
}

// dispatch tells the handler what other workers did in a room.
func (f *Feed) dispatch(room string, entries []redis.XMessage, again *resets) {
	for _, entry := range entries {
		text, _ := entry.Values[eventField].(string)
		var e event
		if json.Unmarshal([]byte(text), &e) != nil {
			continue
		}
		switch {
		case e.Worker == f.worker:
			if e.Reset && e.By != f.by {
				f.handler.Cleared(room)
			}
		case e.Typing != "":
			f.handler.Typing(room, Typing{e.Typing, e.On})
		case e.Reset:
			again.add(room, e.Worker)
		default:
			f.handler.Changed(room, e.Worker, e.Joined, e.Left)
		}
	}
}

// reread tells the handler about workers that published all anew. It comes
// after the events of the same read: what it finds is newer than they are.
func (f *Feed) reread(ctx context.Context, again resets) error {
	if len(again) == 0 {
		return nil
	}
	rosters, err := f.rosters(ctx, again)
	if err != nil {
		return fmt.Errorf("read members: %w", err)
	}
	for i, r := range again {
		f.handler.Replaced(r.room, r.worker, rosters[i])
	}
	return nil
}

func (f *Feed) rosters(ctx context.Context, of resets) ([][]Member, error) {
	if len(of) == 0 {
		return nil, nil
	}
	hashes := make([]*redis.MapStringStringCmd, len(of))
	err := f.bus.do(ctx, callLimit, func(ctx context.Context) error {
		_, err := f.bus.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, r := range of {
				hashes[i] = p.HGetAll(ctx, membersKey(r.worker, r.room))
			}
			return nil
		})
		if errors.Is(err, redis.Nil) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	rosters := make([][]Member, len(of))
	for i, h := range hashes {
		for _, text := range h.Val() {
			var m Member
			if json.Unmarshal([]byte(text), &m) == nil && m.ID != "" {
				rosters[i] = append(rosters[i], m)
			}
		}
	}
	return rosters, nil
}
