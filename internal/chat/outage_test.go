package chat

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/bus/bustest"
	"github.com/samedoor/samedoor/internal/clustertest"
)

// TestOutage: a server that is killed (and loses everything) or falls silent,
// and comes back, on two workers with members before and during it.
func TestOutage(t *testing.T) {
	for name, outage := range map[string]struct{ away, back func(*bustest.Redis) }{
		"killed": {(*bustest.Redis).Kill, (*bustest.Redis).Start},
		"silent": {(*bustest.Redis).Pause, (*bustest.Redis).Resume},
	} {
		t.Run(name, func(t *testing.T) {
			server := bustest.StartRedis(t)
			a, b := start(t, server.URL(), "a", 0), start(t, server.URL(), "b", 1)
			ann, annM := a.join(t, auth("name", "Ann"))
			bob, bobM := b.join(t, auth("name", "Bob"))
			if got := say(annM, "before", "x"); !got.OK {
				t.Fatal(got)
			}
			eventually(t, "a message, and who is here", func() bool {
				_, n := list(ann)
				_, m := list(bob)
				return len(bob.seen()) == 1 && len(ann.seen()) == 1 && n == 2 && m == 2
			})

			outage.away(server)
			began := time.Now()
			got := say(annM, "lost", "x")
			if d := time.Since(began); got.OK || !strings.Contains(got.Error, "again") || d > 3*time.Second {
				t.Errorf("answered %v after %s", got, d)
			}
			clustertest.Until(t, 4*time.Second, "both notice", func() bool { return !a.bus.Up() && !b.bus.Up() })

			// While it is away: a crowd of messages is refused soon, and a new
			// member is welcomed, by those who are known.
			began = time.Now()
			acks := make(chan any, 50)
			for i := range cap(acks) {
				annM.Chat([]any{map[string]any{"id": fmt.Sprint("q", i), "text": "x"}}, func(a any) { acks <- a })
			}
			if d := time.Since(began); d > 100*time.Millisecond {
				t.Errorf("chat blocked for %s", d)
			}
			cid, cidM := a.join(t, auth("name", "Cid"))
			if d := time.Since(began); d > 1500*time.Millisecond {
				t.Errorf("welcomed after %s", d)
			}
			if w := cid.welcome(t); len(w.History) != 0 || w.Count != 3 {
				t.Errorf("welcome with %d messages, %d members", len(w.History), w.Count)
			}
			cidM.Typing([]any{map[string]any{"on": true}})
			eventually(t, "typing here", func() bool { return len(told[any](ann, "typing")) == 1 })
			for range cap(acks) {
				if a := (<-acks).(answer); a.OK {
					t.Error("stored while the bus was away")
				}
			}
			if d := time.Since(began); d > 3*time.Second {
				t.Errorf("50 messages were refused after %s", d)
			}
			bobM.Leave()
			dan, _ := b.join(t, auth("name", "Dan"))

			outage.back(server)
			back := time.Now()
			clustertest.Until(t, 5*time.Second, "stored again", func() bool { return say(annM, "after", "x").OK })
			clustertest.Until(t, 5*time.Second, "shown to all", func() bool {
				for _, r := range []*recorder{ann, cid, dan} {
					if s := r.seen(); len(s) == 0 || s[len(s)-1].ID != "after" {
						return false
					}
				}
				return true
			})
			clustertest.Until(t, 5*time.Second, "who is here", func() bool {
				for _, r := range []*recorder{ann, cid, dan} {
					people, n := list(r)
					if n != 3 || people[person{"Bob", 1}] != 0 || people[person{"Dan", 1}] != 1 || people[person{"Cid", 0}] != 1 {
						return false
					}
				}
				return true
			})
			if d := time.Since(back); d > 5*time.Second {
				t.Errorf("all well after %s only", d)
			} else {
				t.Logf("all well after %s", d.Round(time.Millisecond))
			}
			for who, r := range map[string]*recorder{"Ann": ann, "Cid": cid, "Dan": dan} {
				inOrder(t, who, r.seen())
			}
			if name == "silent" && len(cid.seen()) < 2 {
				t.Error("Cid, who came meanwhile, was not given the history later")
			}
		})
	}
}

// TestMissedMeanwhile: a worker cut off from the bus comes back, and its
// members get what others wrote, in order: those who were there, one who came
// with an offset, and one who came with none.
func TestMissedMeanwhile(t *testing.T) {
	server := bustest.StartRedis(t)
	line := bustest.NewLine(t, server.Addr)
	a, b := start(t, line.Through(""), "a", 0), start(t, server.URL(), "b", 1)
	ann, annM := a.join(t, nil)
	_, bobM := b.join(t, nil)
	first := say(annM, "0", "x")
	eventually(t, "the first", func() bool { return len(ann.seen()) == 1 })
	line.Cut()
	eventually(t, "noticed", func() bool { return !a.bus.Up() })
	cid, _ := a.join(t, auth("offset", first.Offset))
	dan, _ := a.join(t, nil)
	future, _ := a.join(t, auth("offset", fmt.Sprint(time.Now().Add(time.Hour).UnixMilli(), "-0")))
	const n = 700 // more than one read, and than a welcome holds
	for i := range n {
		if got := say(bobM, fmt.Sprint(i+1), "x"); !got.OK {
			t.Fatal(got)
		}
	}
	line.Mend()
	for _, tt := range []struct {
		who   string
		r     *recorder
		first string
		n     int
	}{{"Ann", ann, "0", n + 1}, {"Cid", cid, "201", 500}, {"Dan", dan, "651", 50}, {"who came from the future", future, "651", 50}} {
		clustertest.Until(t, 5*time.Second, tt.who, func() bool {
			s := tt.r.seen()
			return len(s) > 0 && s[len(s)-1].ID == fmt.Sprint(n)
		})
		s := tt.r.seen()
		inOrder(t, tt.who, s)
		if len(s) != tt.n || s[0].ID != tt.first {
			t.Errorf("%s was shown %d messages from %s, want %d from %s", tt.who, len(s), s[0].ID, tt.n, tt.first)
		}
	}
}

// TestStreamBeginsAnew: after data was lost, with a clock that went back.
func TestStreamBeginsAnew(t *testing.T) {
	server := bustest.StartRedis(t)
	c := server.Client()
	defer c.Close()
	w := start(t, server.URL(), "w", 0)
	ann, m := w.join(t, nil)
	ahead := fmt.Sprint(time.Now().Add(time.Hour).UnixMilli(), "-0")
	if err := c.Do(t.Context(), "XADD", "{samedoor}:messages:lobby", ahead, "m", `{"id":"ahead"}`).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "message", func() bool { return len(ann.seen()) == 1 })
	c.FlushAll(t.Context())
	if got := say(m, "1", "x"); !got.OK {
		t.Fatal(got)
	}
	bob, _ := w.join(t, nil)
	clustertest.Until(t, 5*time.Second, "message of the new stream", func() bool { return len(ann.seen()) == 2 })
	say(m, "2", "x")
	for _, r := range []*recorder{ann, bob} {
		eventually(t, "the next", func() bool { s := r.seen(); return s[len(s)-1].ID == "2" })
	}
	if n := len(bob.seen()); n != 2 {
		t.Errorf("who came since was shown %d messages", n)
	}
}

// TestHugeOutageIsCalm: members who come and go while the bus is away leave
// nothing behind, and the bus is not asked for each of them.
func TestHugeOutageIsCalm(t *testing.T) {
	e := embedded(t)
	_, addr, _ := strings.Cut(strings.TrimSuffix(e.URL(), "/0"), "@")
	user, _, _ := strings.Cut(strings.TrimPrefix(e.URL(), "redis://"), "@")
	line := bustest.NewLine(t, addr)
	w := start(t, line.Through(user+"@"), "w", 0)
	_, stays := w.join(t, nil)
	line.Cut()
	eventually(t, "noticed", func() bool { return !w.bus.Up() })
	before, began := line.Attempts(), time.Now()
	for i := range 2000 {
		_, m := w.enter(auth("room", fmt.Sprint("r", i%50)))
		m.Chat([]any{map[string]any{"id": "1", "text": "x"}}, nil)
		stays.Typing([]any{map[string]any{"on": true}})
		if i%20 != 0 {
			m.Leave()
		}
		if i%100 == 0 {
			time.Sleep(50 * time.Millisecond)
		}
	}
	// A call each 250 ms, two attempts each, and those on their way when it
	// was noticed.
	allowed := int(time.Since(began)/(250*time.Millisecond)+4) * 2
	if n := line.Attempts() - before; n > allowed {
		t.Errorf("%d attempts in %s", n, time.Since(began))
	}
	w.out.mu.Lock()
	if n := len(w.out.rooms); n > 51 {
		t.Errorf("news of %d rooms wait", n)
	}
	w.out.mu.Unlock()
	line.Mend()
	r, _ := w.enter(auth("room", "r0"))
	clustertest.Until(t, 5*time.Second, "back", func() bool { return say(stays, "x", "x").OK })
	eventually(t, "welcome", func() bool { _, n := list(r); return n > 1 })
}
