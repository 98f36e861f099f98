package chat

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/bus"
	"github.com/samedoor/samedoor/internal/bus/bustest"
)

func ids(ms []bus.Message) []string {
	all := []string{}
	for _, m := range ms {
		all = append(all, m.ID)
	}
	return all
}

// inOrder fails unless ms are in the stream's order, each once.
func inOrder(t *testing.T, who string, ms []bus.Message) {
	t.Helper()
	var last bus.Offset
	for _, m := range ms {
		o, ok := bus.ParseOffset(m.Offset)
		if !ok || !o.After(last) {
			t.Fatalf("%s was shown %s after %s", who, m.Offset, last)
		}
		last = o
	}
}

func TestMessage(t *testing.T) {
	w := start(t, embedded(t).URL(), "w1", 3)
	ann, m := w.join(t, auth("name", "Ann", "room", "hall"))
	got := say(m, "id 1", "<b>hi</b>\n ")
	if !got.OK || got.Error != "" {
		t.Fatal(got)
	}
	eventually(t, "message", func() bool { return len(ann.seen()) == 1 })
	shown := ann.seen()[0]
	want := bus.Message{Offset: got.Offset, ID: "id 1", Name: "Ann", Slot: 3, Text: "<b>hi</b>\n ", At: shown.At}
	if shown != want || time.Since(time.UnixMilli(shown.At)).Abs() > time.Minute {
		t.Errorf("shown %+v, want %+v", shown, want)
	}
	keys := func(r *recorder, event string) string {
		all := slices.Sorted(func(yield func(string) bool) {
			for k := range told[map[string]any](r, event)[0] {
				if !yield(k) {
					return
				}
			}
		})
		return strings.Join(all, " ")
	}
	if k := keys(ann, "chat"); k != "at id name offset slot text" {
		t.Errorf("chat has %s", k)
	}
	bob, _ := w.join(t, auth("name", "Bob", "room", "hall"))
	if k := keys(bob, "welcome"); k != "count history members name room slot strategy truncated worker" {
		t.Errorf("welcome has %s", k)
	}
	wl := bob.welcome(t)
	if wl.Name != "Bob" || wl.Room != "hall" || wl.Slot != 3 || wl.Worker != "w1" || wl.Strategy != "master" || wl.Count != 2 || wl.Truncated ||
		!slices.Equal(wl.Members, []person{{"Ann", 3}, {"Bob", 3}}) || !slices.Equal(wl.History, []bus.Message{want}) {
		t.Errorf("welcome %+v", wl)
	}
}

// TestOneOrder: many members on two workers send at the same time; all are
// shown the same, each message once, and everyone its own in the order sent.
func TestOneOrder(t *testing.T) {
	e := embedded(t)
	workers := []*worker{start(t, e.URL(), "a", 0), start(t, e.URL(), "b", 1)}
	const members, messages = 8, 25
	var all [members]*recorder
	var joined [members]*Member
	for i := range members { // all of them before anyone writes: a welcome holds 50 messages only
		all[i], joined[i] = workers[i%2].join(t, auth("name", fmt.Sprint("m", i)))
	}
	var senders sync.WaitGroup
	for _, m := range joined {
		senders.Go(func() {
			var acks sync.WaitGroup
			for n := range messages {
				acks.Add(1)
				m.Chat([]any{map[string]any{"id": fmt.Sprint(n), "text": "x"}}, func(a any) {
					if !a.(answer).OK {
						t.Error(a)
					}
					acks.Done()
				})
			}
			acks.Wait()
		})
	}
	senders.Wait()
	for i, r := range all {
		eventually(t, "all messages", func() bool { return len(r.seen()) >= members*messages })
		inOrder(t, "a member", r.seen())
		if !slices.Equal(r.seen(), all[0].seen()) {
			t.Errorf("member %d sees another order than member 0", i)
		}
	}
	sent := map[string]int{}
	for _, m := range all[0].seen() {
		if m.ID != fmt.Sprint(sent[m.Name]) {
			t.Fatalf("%s's message %s is shown as its %dth", m.Name, m.ID, sent[m.Name])
		}
		sent[m.Name]++
	}
}

func TestSentTwice(t *testing.T) {
	e := embedded(t)
	a, b := start(t, e.URL(), "a", 0), start(t, e.URL(), "b", 1)
	ann, here := a.join(t, auth("client", "key"))
	_, there := b.join(t, auth("client", "key"))
	_, other := b.join(t, auth("client", "key2"))
	_, anonymous := b.join(t, nil)
	first := say(here, "1", "x")
	for _, m := range []*Member{here, there} {
		if again := say(m, "1", "x"); again != first {
			t.Errorf("again: %v, want %v", again, first)
		}
	}
	for _, m := range []*Member{other, anonymous} {
		if got := say(m, "1", "x"); !got.OK || got.Offset == first.Offset {
			t.Errorf("another client's: %v", got)
		}
	}
	eventually(t, "three messages", func() bool { return len(ann.seen()) >= 3 })
	if got := ids(ann.seen()); len(got) != 3 {
		t.Errorf("shown %v", got)
	}
}

// TestComeAndGo: while others write without pause, members leave and come back
// with the last offset they saw. Nothing is missing and nothing doubled.
func TestComeAndGo(t *testing.T) {
	e := embedded(t)
	workers := []*worker{start(t, e.URL(), "a", 0), start(t, e.URL(), "b", 1)}
	witness, _ := workers[0].join(t, nil)
	stop := make(chan struct{})
	var senders sync.WaitGroup
	for i := range 3 {
		_, m := workers[i%2].join(t, nil)
		senders.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if a := say(m, fmt.Sprint(n), "x"); !a.OK {
					t.Error(a)
					return
				}
			}
		})
	}
	var visitors sync.WaitGroup
	var seen [6][]bus.Message
	for v := range seen {
		visitors.Go(func() {
			offset := ""
			for visit := range 12 {
				r, m := workers[(v+visit)%2].enter(auth("offset", offset))
				if visit%3 != 0 {
					r.welcome(t)
				}
				time.Sleep(rand.N(30 * time.Millisecond)) // how long a visit lasts is what varies
				m.Leave()
				if got := r.seen(); len(got) > 0 {
					seen[v] = append(seen[v], got...)
					offset = got[len(got)-1].Offset
				}
			}
			r, _ := workers[v%2].join(t, auth("offset", offset))
			seen[v] = append(seen[v], r.seen()...)
		})
	}
	visitors.Wait()
	close(stop)
	senders.Wait()
	all := witness.seen()
	for v, ms := range seen {
		inOrder(t, "a visitor", ms)
		from := slices.IndexFunc(all, func(m bus.Message) bool { return m.Offset == ms[0].Offset })
		eventually(t, "the witness", func() bool { all = witness.seen(); return len(all) >= from+len(ms) })
		if from < 0 && len(ms) > 0 {
			continue // history from before the witness
		}
		if !slices.Equal(ms, all[from:from+len(ms)]) {
			t.Errorf("visitor %d missed something: %d messages", v, len(ms))
		}
	}
	t.Logf("%d messages", len(all))
}

func TestHistory(t *testing.T) {
	w := start(t, embedded(t).URL(), "w", 0, func(o *Options) { o.Rate = 0 })
	_, m := w.join(t, nil)
	var offsets []string
	for i := range 620 {
		a := say(m, fmt.Sprint(i), "x")
		if !a.OK {
			t.Fatal(a)
		}
		offsets = append(offsets, a.Offset)
	}
	readers := map[string]*recorder{}
	for name, tt := range map[string]struct {
		offset    any
		first, n  int
		truncated bool
	}{
		"none":       {nil, 570, 50, false},
		"wrong type": {7.0, 570, 50, false},
		"garbage":    {"+", 570, 50, false},
		"huge":       {"18446744073709551615-1", 570, 50, false},
		"future":     {fmt.Sprint(time.Now().Add(time.Hour).UnixMilli(), "-0"), 570, 50, true},
		"the end":    {offsets[619], 620, 0, false},
		"one":        {offsets[618], 619, 1, false},
		"500":        {offsets[119], 120, 500, false},
		"501":        {offsets[118], 120, 500, true},
		"ever":       {"0-0", 120, 500, true},
	} {
		r, _ := w.join(t, map[string]any{"offset": tt.offset})
		got := r.welcome(t)
		if len(got.History) != tt.n || got.Truncated != tt.truncated || tt.n > 0 && got.History[0].ID != fmt.Sprint(tt.first) {
			t.Errorf("%s: %d messages, truncated %v; want %d from %d, %v", name, len(got.History), got.Truncated, tt.n, tt.first, tt.truncated)
		}
		readers[name] = r
	}
	next := say(m, "next", "x")
	for name, r := range readers {
		eventually(t, name+" live", func() bool { return len(told[bus.Message](r, "chat")) > 0 })
		if live := told[bus.Message](r, "chat"); live[0].Offset != next.Offset {
			t.Errorf("%s: told %s live, want %s", name, live[0].Offset, next.Offset)
		}
		inOrder(t, name, r.seen())
	}
}

func TestRate(t *testing.T) {
	w := start(t, embedded(t).URL(), "w", 0, func(o *Options) { o.Rate = 20 })
	_, m := w.join(t, nil)
	ok, tooMany := 0, 0
	for i := range 60 {
		switch a := say(m, fmt.Sprint(i), "x"); {
		case a.OK:
			ok++
		case a.Error == "too many messages: at most 20 a second":
			tooMany++
		default:
			t.Error(a)
		}
	}
	if ok < 40 || tooMany == 0 {
		t.Errorf("%d stored, %d refused; want a burst of 40", ok, tooMany)
	}
	dropped := w.Dropped()
	for range 60 {
		m.Chat([]any{map[string]any{"id": "x", "text": "x"}}, nil)
	}
	if n := w.Dropped() - dropped; n < 50 {
		t.Errorf("%d counted as dropped", n)
	}
}

func TestTyping(t *testing.T) {
	e := embedded(t)
	a, b := start(t, e.URL(), "a", 0), start(t, e.URL(), "b", 1)
	ann, annM := a.join(t, auth("name", "Ann"))
	bob, _ := a.join(t, auth("name", "Bob"))
	cid, _ := b.join(t, auth("name", "Cid"))
	far, _ := b.join(t, auth("room", "hall"))
	type typing struct {
		Name string
		On   bool
	}
	annM.Typing([]any{map[string]any{"on": true}})
	want := []typing{{"Ann", true}}
	for _, r := range []*recorder{bob, cid} {
		eventually(t, "typing", func() bool { return slices.Equal(told[typing](r, "typing"), want) })
	}
	annM.Leave() // and so stops
	want = append(want, typing{"Ann", false})
	for _, r := range []*recorder{bob, cid} {
		eventually(t, "stopped", func() bool { return slices.Equal(told[typing](r, "typing"), want) })
	}
	annM.Typing([]any{map[string]any{"on": true}})
	if n := len(told[typing](ann, "typing")) + len(told[typing](far, "typing")); n != 0 {
		t.Errorf("%d told to whom it does not concern", n)
	}
}

// TestPanic: a client that panics when told something costs nobody else.
func TestPanic(t *testing.T) {
	w := start(t, embedded(t).URL(), "w", 0)
	bad := w.Join(panicker{}, nil)
	ann, m := w.join(t, nil)
	bad.Chat([]any{map[string]any{"id": "1", "text": "x"}}, func(any) { panic("ack") })
	if a := say(m, "2", "x"); !a.OK {
		t.Fatal(a)
	}
	eventually(t, "messages", func() bool { return len(ann.seen()) == 2 })
	bad.Leave()
	eventually(t, "its leave", func() bool { return len(told[presence](ann, "presence")) == 1 })
}

type panicker struct{}

func (panicker) ID() string          { return "p" }
func (panicker) Emit(string, ...any) { panic("emit") }

// quitter leaves when it is told something, as a dead socket's client may.
type quitter struct{ m chan *Member }

func (quitter) ID() string { return "q" }
func (q quitter) Emit(string, ...any) {
	select {
	case m := <-q.m:
		m.Leave()
	default:
	}
}

func TestLeaveWithinEmit(t *testing.T) {
	w := start(t, embedded(t).URL(), "w", 0)
	_, other := w.join(t, nil)
	q := quitter{make(chan *Member, 1)}
	q.m <- w.Join(q, nil)
	if a := say(other, "1", "x"); !a.OK {
		t.Fatal(a)
	}
	eventually(t, "gone", func() bool {
		r, m := w.join(t, nil)
		defer m.Leave()
		return r.welcome(t).Count == 2
	})
}

// TestNothingLeft: when Run returns, everything it started has ended, and what
// comes later is answered.
func TestNothingLeft(t *testing.T) {
	server := bustest.StartRedis(t)
	before := runtime.NumGoroutine()
	w := start(t, server.URL(), "w", 0)
	for range 50 {
		_, m := w.enter(nil)
		m.Chat([]any{map[string]any{"id": "1", "text": "x"}}, nil)
	}
	_, m := w.join(t, nil)
	server.Pause() // the worst time to stop
	defer server.Resume()
	for i := range 20 {
		m.Chat([]any{map[string]any{"id": fmt.Sprint(i), "text": "x"}}, nil)
		w.enter(nil)
	}
	began := time.Now()
	w.stop()
	if d := time.Since(began); d > 4*time.Second {
		t.Errorf("stopping took %s", d)
	}
	w.bus.Close()
	eventually(t, "goroutines end", func() bool { return runtime.NumGoroutine() <= before })
	if a := say(m, "x", "x"); a.OK || a.Error == "" {
		t.Errorf("after the end: %v", a)
	}
	r, late := w.enter(nil)
	if len(told[welcome](r, "welcome")) != 1 {
		t.Error("no welcome after the end")
	}
	late.Typing([]any{map[string]any{"on": true}})
	late.Leave()
	m.Leave()
}
