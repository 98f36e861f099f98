package chat

import (
	"fmt"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/bus"
)

// silent is a client that costs nothing.
type silent struct{ n *int }

func (silent) ID() string            { return "s" }
func (s silent) Emit(string, ...any) { *s.n++ }

// BenchmarkFanOut is what one message costs a worker, by members in its room,
// but for encoding and sending it.
func BenchmarkFanOut(b *testing.B) {
	for _, members := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(members), func(b *testing.B) {
			h := NewHub(Options{Bus: open(b, embedded(b).URL()), WorkerID: "w"})
			defer h.stop()
			r := newRoom(h, "lobby")
			r.opened = true
			h.rooms["lobby"] = r
			n := 0
			for range members {
				r.members[&Member{hub: h, room: r, client: silent{&n}, live: true}] = struct{}{}
			}
			b.ReportAllocs()
			for i := uint64(1); b.Loop(); i++ {
				h.messages("lobby", []bus.Message{{Place: bus.Offset{Ms: i}}})
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/member")
		})
	}
}

// BenchmarkRoundTrip is a message's way from one worker's member to another's,
// over the embedded bus.
func BenchmarkRoundTrip(b *testing.B) {
	e := embedded(b)
	from, to := start(b, e.URL(), "a", 0), start(b, e.URL(), "b", 1)
	_, m := from.join(b, nil)
	got := make(chan struct{}, 1)
	to.Join(signal{got}, nil)
	<-got // its welcome
	eventually(b, "first", func() bool { return say(m, "first", "x").OK && len(got) > 0 })
	<-got
	for i := 0; b.Loop(); i++ {
		m.Chat([]any{map[string]any{"id": fmt.Sprint(i), "text": "x"}}, nil)
		select {
		case <-got:
		case <-time.After(5 * time.Second):
			b.Fatal("lost")
		}
	}
}

// signal tells of a welcome and of each message.
type signal struct{ got chan struct{} }

func (signal) ID() string { return "signal" }
func (s signal) Emit(event string, _ ...any) {
	if event != "presence" {
		s.got <- struct{}{}
	}
}
