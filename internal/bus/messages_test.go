package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/bus/bustest"
	"github.com/samedoor/samedoor/internal/clustertest"
)

const limit = 10 * time.Second

func appendN(t testing.TB, b *Bus, room string, from, n int) []string {
	t.Helper()
	var offsets []string
	for i := range n {
		o, err := b.Append(t.Context(), room, "client", Message{ID: fmt.Sprint(from + i), Name: "Ann", Slot: 2, Text: "hello"})
		if err != nil {
			t.Fatal(err)
		}
		offsets = append(offsets, o)
	}
	return offsets
}

func offsets(ms []Message) []string {
	var all []string
	for _, m := range ms {
		all = append(all, m.Offset)
	}
	return all
}

func TestAppendOnce(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		b := open(t, url)
		ctx := t.Context()
		first, err := b.Append(ctx, "lobby", "ann", Message{ID: "1", Name: "Ann", Slot: 3, Text: "ünï\x00 <b>"})
		if err != nil {
			t.Fatal(err)
		}
		again, err := b.Append(ctx, "lobby", "ann", Message{ID: "1", Name: "Ann", Text: "other"})
		if err != nil || again != first {
			t.Errorf("sent twice: %q, %v; want %q", again, err, first)
		}
		for _, other := range [][3]string{{"lobby", "bob", "1"}, {"lobby", "ann", "2"}, {"hall", "ann", "1"}, {"lobby", "an", "n1"}} {
			got, err := b.Append(ctx, other[0], other[1], Message{ID: other[2]})
			if err != nil || other[0] == "lobby" && got == first {
				t.Errorf("%v: %q, %v; want an offset of its own", other, got, err)
			}
		}
		ms, err := b.Last(ctx, "lobby", 10)
		if err != nil || len(ms) != 4 {
			t.Fatalf("%d messages, %v; want 4", len(ms), err)
		}
		want := Message{Offset: first, ID: "1", Name: "Ann", Slot: 3, Text: "ünï\x00 <b>", At: ms[0].At, Place: ms[0].Place}
		if ms[0] != want || ms[0].Place.String() != first {
			t.Errorf("stored %+v, want %+v", ms[0], want)
		}
		if d := time.Since(time.UnixMilli(ms[0].At)); d < -time.Second || d > time.Minute {
			t.Errorf("stored %s ago", d)
		}
	})
}

// TestAppendRace: many senders of the same ids at the same time store each once.
func TestAppendRace(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		const senders, messages = 8, 20
		var got [senders][]string
		var all sync.WaitGroup
		for s := range senders {
			b := open(t, url)
			all.Go(func() { got[s] = appendN(t, b, "lobby", 0, messages) })
		}
		all.Wait()
		for s := range senders {
			if !slices.Equal(got[s], got[0]) {
				t.Fatalf("sender %d got %v, sender 0 %v", s, got[s], got[0])
			}
		}
		if ms, err := open(t, url).Last(t.Context(), "lobby", 1000); err != nil || len(ms) != messages {
			t.Errorf("%d messages, %v; want %d", len(ms), err, messages)
		}
	})
}

func TestHistory(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		b := open(t, url)
		all := appendN(t, b, "lobby", 0, 30)
		at := func(i int) Offset {
			o, ok := ParseOffset(all[i])
			if !ok {
				t.Fatal(all[i])
			}
			return o
		}
		stranger := at(9)
		stranger.Seq += 1000

		last, err := b.Last(t.Context(), "lobby", 5)
		if err != nil || !slices.Equal(offsets(last), all[25:]) {
			t.Errorf("last 5: %v, %v", offsets(last), err)
		}
		after, err := b.After(t.Context(), "lobby", at(9), 5)
		if err != nil || !slices.Equal(offsets(after), all[10:15]) {
			t.Errorf("5 after 9: %v, %v", offsets(after), err)
		}
		for name, tt := range map[string]struct {
			after      Offset
			want       []string
			gap, known bool
		}{
			"everything":         {Offset{}, all[10:], true, true},
			"more than the most": {at(8), all[10:], true, true},
			"exactly the most":   {at(9), all[10:], false, true},
			"some":               {at(24), all[25:], false, true},
			"none":               {at(29), nil, false, true},
			"of the future":      {Offset{at(29).Ms + 60000, 0}, nil, true, false},
			"of another stream":  {Offset{at(29).Ms - 3600000, 7}, all[10:], true, true},
			"not of this stream": {stranger, nil, true, true},
		} {
			ms, gap, known, err := b.Since(t.Context(), "lobby", tt.after, 20)
			if name == "not of this stream" {
				tt.want = offsets(ms) // how many share its millisecond differs
			}
			if err != nil || gap != tt.gap || known != tt.known || !slices.Equal(offsets(ms), tt.want) {
				t.Errorf("since %s: %d messages, gap %v, known %v, %v; want %d, %v, %v", name, len(ms), gap, known, err, len(tt.want), tt.gap, tt.known)
			}
		}
		ms, gap, known, err := b.Since(t.Context(), "empty", Offset{}, 20)
		if len(ms) != 0 || gap || !known || err != nil {
			t.Errorf("an empty room since ever: %v %v %v %v", ms, gap, known, err)
		}
	})
}

func TestRoomKeepsSoMany(t *testing.T) {
	r := bustest.StartRedis(t)
	b, c := open(t, r.URL()), r.Client()
	defer c.Close()
	c.Set(t.Context(), keepKey, 100, 0)
	appendN(t, b, "lobby", 0, 500)
	if n := c.XLen(t.Context(), messagesKey("lobby")).Val(); n < 100 || n > 220 {
		t.Errorf("%d kept, want about 100", n) // Redis trims whole nodes of 100
	}
	for _, key := range c.Keys(t.Context(), "*").Val() {
		if ttl := c.TTL(t.Context(), key).Val(); ttl < 0 && key != keepKey {
			t.Errorf("%s never expires", key)
		}
	}
}

// TestStrangeEntries: what others put into the stream is passed over.
func TestStrangeEntries(t *testing.T) {
	r := bustest.StartRedis(t)
	b, c := open(t, r.URL()), r.Client()
	defer c.Close()
	ctx := t.Context()
	c.Do(ctx, "XADD", messagesKey("lobby"), "*", "other", "1")
	c.Do(ctx, "XADD", messagesKey("lobby"), "*", entryField, "{")
	c.Do(ctx, "XADD", eventsKey("lobby"), "*", eventField, "[]")
	appendN(t, b, "lobby", 0, 1)
	var got told
	f := b.Feed("a", got.handler())
	f.Watch("lobby")
	running(t, f.Run)
	clustertest.Until(t, limit, "open", got.isOpen)
	c.Do(ctx, "XADD", messagesKey("lobby"), "*", "other", "1")
	c.Do(ctx, "XADD", eventsKey("lobby"), "*", "x", "y")
	appendN(t, b, "lobby", 1, 1)
	clustertest.Until(t, limit, "the message", func() bool { return got.received() == 1 })
	if ms, err := b.Last(ctx, "lobby", 10); err != nil || len(ms) != 2 {
		t.Errorf("%d messages, %v; want 2", len(ms), err)
	}
}

// everything uses all of the package once.
func everything(t *testing.T, url string) {
	t.Helper()
	b := open(t, url)
	clustertest.Until(t, limit, "ping", func() bool { return b.Ping(t.Context()) == nil })
	running(t, func(ctx context.Context) error { return b.Register(ctx, Worker{ID: "b", Slot: 1}) })
	registry := b.Registry()
	clustertest.Until(t, limit, "lookup", func() bool { _, ok := registry.Lookup(t.Context(), "b"); return ok })

	var got told
	a := b.Feed("a", got.handler())
	a.Watch("lobby")
	stop := running(t, a.Run)
	clustertest.Until(t, limit, "open", got.isOpen)
	other := b.Feed("b", Handler{})
	if err := other.Publish(t.Context(), []Update{{Room: "lobby", Joined: []Member{{ID: "1", Name: "Bob"}}, Typing: []Typing{{"Bob", true}}}}); err != nil {
		t.Fatal(err)
	}
	all := appendN(t, b, "lobby", 0, 3)
	clustertest.Until(t, limit, "messages and members", func() bool {
		return got.received() == 3 && got.size("b") == 1 && got.get(func() int { return len(got.typing) }) == 1
	})
	if again := appendN(t, b, "lobby", 0, 3); !slices.Equal(again, all) {
		t.Errorf("again: %v, want %v", again, all)
	}
	if gone, err := a.Prune(t.Context(), "b", nil); gone || err != nil {
		t.Errorf("pruned a living worker: %v, %v", gone, err)
	}
	if rooms, err := other.Rooms(t.Context()); err != nil || !slices.Equal(rooms, []string{"lobby"}) {
		t.Errorf("rooms of b: %v, %v", rooms, err)
	}
	b.unregister("b", nil) // not ours: nothing happens
	if dead, err := b.Dead(t.Context(), []string{"c"}); err != nil || !slices.Equal(dead, []string{"c"}) {
		t.Errorf("dead: %v, %v", dead, err)
	}
	stop()
}

func TestEverything(t *testing.T) { onEach(t, everything) }

func BenchmarkAppend(b *testing.B) {
	bus := open(b, embedded(b).URL())
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := bus.Append(b.Context(), "lobby", "client", Message{ID: fmt.Sprint(i), Text: "hello"}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendRedis(b *testing.B) {
	bus := open(b, bustest.StartRedis(b).URL())
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := bus.Append(b.Context(), "lobby", "client", Message{ID: fmt.Sprint(i), Text: "hello"}); err != nil {
			b.Fatal(err)
		}
	}
}

// TestRoomsAreBounded: on the embedded server anybody may name a room, and each
// costs memory for days.
func TestRoomsAreBounded(t *testing.T) {
	e, err := StartEmbedded()
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if err := e.server.Set(roomsMaxKey, "3"); err != nil {
		t.Fatal(err)
	}
	b, err := Open(e.URL(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	say := func(room, id string) error {
		_, err := b.Append(t.Context(), room, "c", Message{ID: id, Text: "x"})
		return err
	}
	for _, room := range []string{"a", "b", "c", "a"} {
		if err := say(room, "1"); err != nil {
			t.Fatal(err)
		}
	}
	if err := say("d", "1"); !errors.Is(err, ErrRooms) {
		t.Errorf("a fourth room: %v", err)
	}
	if err := say("a", "2"); err != nil {
		t.Errorf("a room that is there: %v", err)
	}
	e.server.Del(messagesKey("b")) // as when it expires
	if err := say("d", "1"); err != nil {
		t.Errorf("a new room after an old one is gone: %v", err)
	}
}

// TestManyMessages keeps a long day's chat from slowing the embedded server:
// the keys it must visit grow with the rooms, not with the messages.
func TestManyMessages(t *testing.T) {
	e, err := StartEmbedded()
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	b, err := Open(e.URL(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := b.Append(t.Context(), "a", "c", Message{ID: "first", Text: "x"}); err != nil {
		t.Fatal(err)
	}
	before := len(e.server.Keys())
	for i := range 300 {
		if _, err := b.Append(t.Context(), "a", "c", Message{ID: fmt.Sprint(i), Text: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	if after := len(e.server.Keys()); after != before {
		t.Errorf("%d keys after 300 messages, %d after one", after, before)
	}
}
