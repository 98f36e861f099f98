package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/bus/bustest"
	"github.com/samedoor/samedoor/internal/clustertest"
	"github.com/samedoor/samedoor/internal/logs/logstest"
)

func TestFeed(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		b := open(t, url)
		old := appendN(t, b, "lobby", 0, 10)
		var got told
		f := b.Feed("a", got.handler())
		running(t, f.Run)
		clustertest.Until(t, limit, "up", func() bool { return got.get(func() int { return got.ups }) == 1 })

		began := time.Now()
		f.Watch("lobby")
		clustertest.Until(t, limit, "open", got.isOpen)
		if d := time.Since(began); d > blockFor/2 {
			t.Errorf("a room was opened after %s: the reader was not woken", d)
		}
		if got.from.String() != old[9] {
			t.Errorf("opened from %s, want %s", got.from, old[9])
		}
		// More than one read's worth.
		want := appendN(t, b, "lobby", 10, 2*readCount+10)
		clustertest.Until(t, limit, "all messages", func() bool { return got.received() >= len(want) })
		if !slices.Equal(offsets(got.messages), want) {
			t.Error("not every message once and in order")
		}
		f.Unwatch("lobby")
		appendN(t, b, "lobby", 2000, 1)
		f.Watch("hall")
		clustertest.Until(t, limit, "another room", func() bool { return got.get(func() int { return got.opened }) == 2 })
		appendN(t, b, "hall", 0, 1)
		clustertest.Until(t, limit, "its message", func() bool { return got.received() == len(want)+1 })
	})
}

func TestPresence(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		b, ctx := open(t, url), t.Context()
		publish := func(f *Feed, u Update) {
			t.Helper()
			u.Room = "lobby"
			if err := f.Publish(ctx, []Update{u}); err != nil {
				t.Fatal(err)
			}
		}
		x := b.Feed("x", Handler{})
		publish(x, Update{Joined: []Member{{ID: "1", Name: "Ann", Slot: 1, At: 5}, {ID: "2"}}})
		var got told
		f := b.Feed("a", got.handler())
		f.Watch("lobby")
		running(t, f.Run)
		clustertest.Until(t, limit, "those who were there", func() bool { return got.size("x") == 2 })
		if m := got.roster["x"]["1"]; m != (Member{"1", "Ann", 1, 5}) {
			t.Errorf("read %+v", m)
		}
		publish(x, Update{Joined: []Member{{ID: "3"}}, Left: []string{"1", "2"}})
		clustertest.Until(t, limit, "coming and going", func() bool { return got.size("x") == 1 })
		publish(x, Update{Replace: true, Joined: []Member{{ID: "4"}, {ID: "5"}, {ID: "6"}}})
		clustertest.Until(t, limit, "all anew", func() bool { return got.size("x") == 3 })
		publish(f, Update{Joined: []Member{{ID: "self"}}, Typing: []Typing{{"self", true}}})
		publish(x, Update{Typing: []Typing{{"Ann", true}, {"Ann", false}}})
		clustertest.Until(t, limit, "typing", func() bool { return got.get(func() int { return len(got.typing) }) == 2 })
		if got.typing[0] != (Typing{"Ann", true}) || got.typing[1] != (Typing{"Ann", false}) || got.size("a") != 0 {
			t.Errorf("typing %v, own members %d", got.typing, got.size("a"))
		}

		// x has no lease: it is dead, and whoever finds out says so.
		if gone, err := b.Feed("c", Handler{}).Prune(ctx, "x", nil); !gone || err != nil {
			t.Fatal(gone, err)
		}
		clustertest.Until(t, limit, "pruned", func() bool { return got.size("x") == 0 })
		if gone, err := b.Feed("c", Handler{}).Prune(ctx, "a", []string{"lobby"}); !gone || err != nil {
			t.Fatal(gone, err)
		}
		clustertest.Until(t, limit, "told to publish again", func() bool { return got.get(func() int { return got.cleared }) == 1 })

		publish(x, Update{Joined: []Member{{ID: "7"}}})
		if rooms, err := b.Feed("x", Handler{}).Rooms(ctx); err != nil || !slices.Equal(rooms, []string{"lobby"}) {
			t.Errorf("a successor finds %v, %v", rooms, err)
		}
		publish(b.Feed("x", Handler{}), Update{Replace: true, Empty: true})
		clustertest.Until(t, limit, "successor", func() bool { return got.size("x") == 0 })
		if rooms, err := x.Rooms(ctx); err != nil || len(rooms) != 0 {
			t.Errorf("left over: %v, %v", rooms, err)
		}
	})
}

// outages are the ways in which a server goes and comes back.
var outages = map[string]struct {
	lost          bool // the data
	away, return_ func(*bustest.Redis)
}{
	"killed": {true, (*bustest.Redis).Kill, (*bustest.Redis).Start},
	"silent": {false, (*bustest.Redis).Pause, (*bustest.Redis).Resume},
}

func TestFeedOutage(t *testing.T) {
	for name, outage := range outages {
		t.Run(name, func(t *testing.T) {
			server := bustest.StartRedis(t)
			var log logstest.Buffer
			b := openLogging(t, server.URL(), &log)
			var got told
			f := b.Feed("a", got.handler())
			f.Watch("lobby")
			running(t, f.Run)
			clustertest.Until(t, limit, "open", got.isOpen)
			appendN(t, b, "lobby", 0, 5)
			clustertest.Until(t, limit, "messages", func() bool { return got.received() == 5 })

			outage.away(server)
			clustertest.Until(t, 4*time.Second, "noticed", func() bool { return !b.Up() && got.get(func() int { return got.downs }) == 1 })
			began := time.Now()
			_, err := b.Append(t.Context(), "lobby", "c", Message{ID: "x"})
			if d := time.Since(began); !errors.Is(err, ErrGone) || d > callLimit+500*time.Millisecond {
				t.Errorf("append while away: %v after %s", err, d)
			}
			outage.return_(server)
			clustertest.Until(t, 5*time.Second, "back", func() bool {
				_, err := b.Append(t.Context(), "lobby", "c", Message{ID: "x"})
				return err == nil
			})
			clustertest.Until(t, 5*time.Second, "read on", func() bool { return got.received() == 6 })
			if got.get(func() int { return got.ups }) < 2 || log.Count("bus gone") != 1 || log.Count("bus back") != 1 {
				t.Errorf("up %d times; log:\n%s", got.ups, &log)
			}
		})
	}
}

// TestFlush: data lost without a break in the connection is noticed too, and a
// stream that begins anew with lower offsets is read from its start.
func TestFlush(t *testing.T) {
	server := bustest.StartRedis(t)
	b, c := open(t, server.URL()), server.Client()
	defer c.Close()
	var got told
	f := b.Feed("a", got.handler())
	f.Watch("lobby")
	running(t, f.Run)
	clustertest.Until(t, limit, "open", got.isOpen)
	future := fmt.Sprint(time.Now().Add(time.Hour).UnixMilli(), "-0")
	c.Do(t.Context(), "XADD", messagesKey("lobby"), future, entryField, `{"id":"ahead"}`)
	clustertest.Until(t, limit, "message", func() bool { return got.received() == 1 })
	c.FlushAll(t.Context())
	appendN(t, b, "lobby", 0, 3)
	clustertest.Until(t, 5*time.Second, "messages", func() bool { return got.received() == 4 })
	if got.get(func() int { return got.ups }) != 2 {
		t.Errorf("up %d times, want 2", got.ups)
	}
}

// TestLag: a reader that fell behind so far that events were dropped reads who
// is here anew, and publishes its own.
func TestLag(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		b := open(t, url)
		x := b.Feed("x", Handler{})
		release, first := make(chan struct{}), true
		var got told
		h := got.handler()
		typing := h.Typing
		h.Typing = func(room string, ty Typing) {
			if first {
				first = false
				<-release
			}
			typing(room, ty)
		}
		f := b.Feed("a", h)
		f.Watch("lobby")
		running(t, f.Run)
		clustertest.Until(t, limit, "open", got.isOpen)
		publish := func(u Update) {
			t.Helper()
			u.Room = "lobby"
			if err := x.Publish(t.Context(), []Update{u}); err != nil {
				t.Fatal(err)
			}
		}
		publish(Update{Typing: []Typing{{"Ann", true}}})
		publish(Update{Joined: []Member{{ID: "1"}}})
		for range 20 {
			publish(Update{Typing: slices.Repeat([]Typing{{"Ann", true}}, 50)})
		}
		close(release)
		clustertest.Until(t, limit, "the member", func() bool { return got.size("x") == 1 })
		clustertest.Until(t, limit, "all anew", func() bool { return got.get(func() int { return got.ups }) == 2 })
	})
}

// TestCalm counts connections tried while the bus is away and everybody wants
// something from it.
func TestCalm(t *testing.T) {
	server := bustest.StartRedis(t)
	line := bustest.NewLine(t, server.Addr)
	b := open(t, line.Through(""))
	var got told
	f := b.Feed("a", got.handler())
	f.Watch("lobby")
	running(t, f.Run)
	running(t, func(ctx context.Context) error { return b.Register(ctx, Worker{ID: "a"}) })
	clustertest.Until(t, limit, "open", got.isOpen)
	r := b.Registry()
	for range 8 {
		running(t, func(ctx context.Context) error {
			for ctx.Err() == nil {
				b.Append(ctx, "lobby", "c", Message{ID: "x"})
				r.Lookup(ctx, "other")
				time.Sleep(time.Millisecond)
			}
			return nil
		})
	}
	line.Cut()
	clustertest.Until(t, limit, "noticed", func() bool { return !b.Up() })
	before := line.Attempts()
	const seconds = 2
	time.Sleep(seconds * time.Second)
	// One call each 250 ms, two attempts each, and the ten callers' on their
	// way when it was noticed.
	if n := line.Attempts() - before; n == 0 || n > seconds*4*2+2*10 {
		t.Errorf("%d attempts in %d s", n, seconds)
	} else {
		t.Logf("%d attempts in %d s", n, seconds)
	}
	line.Mend()
	clustertest.Until(t, 5*time.Second, "back", b.Up)
}
