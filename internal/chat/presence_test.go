package chat

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/bus/bustest"
	"github.com/samedoor/samedoor/internal/clustertest"
)

// list is who a client believes is here, from what it was told.
func list(r *recorder) (people map[person]int, count int) {
	people = map[person]int{}
	for _, w := range told[welcome](r, "welcome") {
		count = w.Count
		for _, p := range w.Members {
			people[p]++
		}
	}
	for _, p := range told[presence](r, "presence") {
		count = p.Count
		for _, j := range p.Joined {
			people[j]++
		}
		for _, l := range p.Left {
			if people[l]--; people[l] == 0 {
				delete(people, l)
			}
		}
	}
	return people, count
}

// calm fails if a client was told of presence more than 4 times in any second.
func calm(t *testing.T, r *recorder) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var at []time.Time
	for _, e := range r.events {
		if e.name == "presence" {
			at = append(at, e.at)
		}
	}
	for i := 4; i < len(at); i++ {
		if at[i].Sub(at[i-4]) < time.Second {
			t.Fatalf("5 presence events within %s", at[i].Sub(at[i-4]))
		}
	}
}

func TestCrowd(t *testing.T) {
	e := embedded(t)
	workers := []*worker{start(t, e.URL(), "a", 0), start(t, e.URL(), "b", 1)}
	first, _ := workers[0].join(t, auth("name", "first"))
	far, _ := workers[1].join(t, auth("name", "far"))
	const crowd = 200
	var all [crowd]*recorder
	var members [crowd]*Member
	var arrivals sync.WaitGroup
	for i := range crowd {
		time.Sleep(time.Millisecond) // over several windows
		arrivals.Go(func() { all[i], members[i] = workers[i%2].join(t, auth("name", fmt.Sprint("m", i))) })
	}
	arrivals.Wait()
	everyone := append(all[:], first, far)
	for _, r := range everyone {
		eventually(t, "everyone known", func() bool {
			_, n := list(r)
			return n == crowd+2
		})
	}
	for _, m := range members[:150] {
		m.Leave()
	}
	for _, r := range append(all[150:], first, far) {
		eventually(t, "those left", func() bool {
			people, n := list(r)
			return n == 52 && people[person{"m199", 1}] == 1 && people[person{"m0", 0}] == 0
		})
		calm(t, r)
	}
	if people, _ := list(first); len(people) != 52 {
		t.Errorf("the first believes in %d people", len(people))
	}
	for _, p := range told[presence](all[199], "presence") {
		if slices.Contains(p.Joined, person{"m199", 1}) {
			t.Error("a member was told of its own coming")
		}
	}
}

// TestManyMembers: a welcome lists the latest, and counts all.
func TestManyMembers(t *testing.T) {
	w := start(t, embedded(t).URL(), "w", 0)
	for range 250 {
		w.enter(nil)
	}
	r, _ := w.join(t, auth("name", "Last"))
	got := r.welcome(t)
	if len(got.Members) != 200 || got.Count != 251 || !slices.Contains(got.Members, person{"Last", 0}) {
		t.Errorf("%d listed, %d counted", len(got.Members), got.Count)
	}
}

// TestBackAtOnce: somebody who reloads the page has not been away.
func TestBackAtOnce(t *testing.T) {
	w := start(t, embedded(t).URL(), "w", 0)
	ann, _ := w.join(t, auth("name", "Ann"))
	_, bob := w.join(t, auth("name", "Bob"))
	eventually(t, "Bob", func() bool { return len(told[presence](ann, "presence")) == 1 })
	bob.Leave()
	w.join(t, auth("name", "Bob"))
	w.join(t, auth("name", "Cid"))
	eventually(t, "Cid", func() bool { return len(told[presence](ann, "presence")) == 2 })
	p := told[presence](ann, "presence")[1]
	if !slices.Equal(p.Joined, []person{{"Cid", 0}}) || len(p.Left) != 0 || p.Count != 3 {
		t.Errorf("told %+v", p)
	}
}

func TestSum(t *testing.T) {
	a, b := person{"a", 0}, person{"b", 1}
	for _, tt := range []struct {
		in           changes
		joined, left []person
	}{
		{nil, nil, nil},
		{changes{{a, true}, {b, true}}, []person{a, b}, nil},
		{changes{{a, true}, {a, false}}, nil, nil},
		{changes{{a, false}, {a, true}}, nil, nil},
		{changes{{a, true}, {a, false}, {a, true}}, []person{a}, nil},
		{changes{{a, true}, {a, true}, {a, false}, {b, false}}, []person{a}, []person{b}},
		{changes{{a, false}, {a, false}, {a, true}}, nil, []person{a}},
	} {
		if p := tt.in.sum(); !slices.Equal(p.Joined, tt.joined) || !slices.Equal(p.Left, tt.left) {
			t.Errorf("%v: %+v", tt.in, p)
		}
	}
}

// TestSuccessor: the members of a worker that was killed vanish when another
// starts in its place.
func TestSuccessor(t *testing.T) {
	e := embedded(t)
	a, b := start(t, e.URL(), "a", 0), start(t, e.URL(), "b", 1)
	ann, _ := a.join(t, auth("name", "Ann"))
	b.join(t, auth("name", "Bob"))
	b.join(t, auth("name", "Cid"))
	eventually(t, "three", func() bool { _, n := list(ann); return n == 3 })
	b.kill()
	if _, n := list(ann); n != 3 {
		t.Fatalf("the dead are gone at once: a test of nothing")
	}
	b = start(t, e.URL(), "b", 1)
	eventually(t, "one", func() bool { people, n := list(ann); return n == 1 && len(people) == 1 })
	dan, _ := b.join(t, auth("name", "Dan"))
	eventually(t, "two", func() bool { people, n := list(ann); return n == 2 && people[person{"Dan", 1}] == 1 })
	if n := dan.welcome(t).Count; n != 2 {
		t.Errorf("Dan counts %d", n)
	}
}

// TestStopped: a worker that is stopped takes its members along at once.
func TestStopped(t *testing.T) {
	e := embedded(t)
	a, b := start(t, e.URL(), "a", 0), start(t, e.URL(), "b", 1)
	ann, _ := a.join(t, nil)
	b.join(t, nil)
	eventually(t, "two", func() bool { _, n := list(ann); return n == 2 })
	b.stop()
	clustertest.Until(t, 2*time.Second, "one", func() bool { _, n := list(ann); return n == 1 })
}

// TestNoSuccessor: the others find out when the lease is over.
func TestNoSuccessor(t *testing.T) {
	server := bustest.StartRedis(t)
	c := server.Client()
	defer c.Close()
	a, d := startImpatient(t, server.URL(), "a", 0), startImpatient(t, server.URL(), "d", 3)
	b := start(t, server.URL(), "b", 1)
	ann, _ := a.join(t, nil)
	d.join(t, nil)
	b.join(t, auth("name", "Bob"))
	b.join(t, auth("room", "hall"))
	eventually(t, "three", func() bool { _, n := list(ann); return n == 3 })
	b.kill() // which gives its lease back, unlike a killed process: no need to wait 10 s for it
	eventually(t, "two", func() bool { people, n := list(ann); return n == 2 && people[person{"Bob", 1}] == 0 })
	eventually(t, "nothing left of it", func() bool { return len(c.Keys(t.Context(), "*:b*").Val()) <= 1 }) // its wake stream expires
	time.Sleep(300 * time.Millisecond)                                                                      // the living prune nobody else
	if _, n := list(ann); n != 2 {
		t.Errorf("%d members", n)
	}
}
