package e2e

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/clustertest"
)

// Each worker dies in turn, while people talk and type: their clients come
// back by themselves, what anybody said is there once, in one order for all,
// what they were writing is still there, and the page says what happened.
func TestWorkerKilled(t *testing.T) {
	eachSticky(t, func(t *testing.T, c *clustertest.Cluster) {
		ann, bob := apart(t, c, "Ann", "Bob")
		talk := &talk{ann: ann, bob: bob}
		hit := 0
		for slot := range 4 {
			draft := map[*visitor]string{ann: fmt.Sprintf("Ann's half a sentence %d", slot), bob: fmt.Sprintf("Bob's half a sentence %d", slot)}
			talk.on(2) // the last word is Bob's, and perhaps not acknowledged yet
			for _, v := range []*visitor{ann, bob} {
				v.must(v.box().PressSequentially(draft[v]))
			}
			pid := c.Worker(slot)
			held := map[*visitor]bool{ann: ann.slot() == slot, bob: bob.slot() == slot}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			for _, v := range []*visitor{ann, bob} {
				v.must(v.box().PressSequentially(", and")) // whatever happens to the session
				draft := draft[v] + ", and"
				if held[v] {
					hit++
					v.must(v.expect(v.Locator("#fate"), 20*time.Second).ToContainText(fmt.Sprintf("Worker %d, which held your session, ended, and another took its place. You reconnected to", slot)))
					v.must(v.expect(v.Locator("#fate"), soon).ToContainText("nothing was lost."))
				}
				v.connected(20 * time.Second)
				v.must(v.expect(v.box(), soon).ToHaveValue(draft))
				v.must(v.box().Press("Enter"))
				talk.said = append(talk.said, draft)
				v.must(v.expect(v.box(), soon).ToHaveValue(""))
			}
			clustertest.Until(t, 20*time.Second, "the worker has a successor", func() bool {
				var s clustertest.Status
				return c.Get("/cluster", &s) == nil && s.Workers[slot].PID != pid && s.Workers[slot].State == "ready"
			})
		}
		if hit < 2 {
			t.Errorf("%d sessions were hit by the death of all workers", hit)
		}
		talk.check(t, c)
	})
}

// The network goes for a moment, once only long enough to drop what is open
// and once for longer than it takes to try again; then one's worker dies. What
// is said meanwhile waits, and goes out once one is back.
func TestSaidWhileAway(t *testing.T) {
	eachSticky(t, func(t *testing.T, c *clustertest.Cluster) {
		ann, bob := apart(t, c, "Ann", "Bob")
		talk := &talk{ann: ann, bob: bob}
		talk.on(2)

		bob.network.Cut()
		talk.alone(2)
		bob.connected(15 * time.Second)
		talk.on(2)

		bob.network.Down()
		bob.must(bob.expect(bob.GetByTestId("transport"), soon).ToHaveText("disconnected"))
		bob.say("said without a network")
		talk.said = append(talk.said, "said without a network")
		talk.alone(3)
		time.Sleep(2 * time.Second)
		bob.network.Up()
		bob.connected(15 * time.Second)
		talk.on(2)

		if err := syscall.Kill(c.Worker(bob.slot()), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		bob.must(bob.expect(bob.GetByTestId("transport"), soon).ToHaveText("disconnected"))
		bob.say("said without a worker")
		talk.said = append(talk.said, "said without a worker")
		talk.alone(5)
		bob.connected(15 * time.Second)
		talk.on(2)
		talk.check(t, c)
	})
}

// talk is a conversation, and remembers all that was said in it.
type talk struct {
	ann, bob *visitor
	said     []string
}

// on lets both say something n times.
func (k *talk) on(n int) {
	for range n {
		k.says(k.ann, "Ann")
		k.says(k.bob, "Bob")
	}
}

// alone lets Ann say something n times.
func (k *talk) alone(n int) {
	for range n {
		k.says(k.ann, "Ann")
		time.Sleep(100 * time.Millisecond)
	}
}

func (k *talk) says(v *visitor, name string) {
	text := fmt.Sprintf("%s's %d.", name, len(k.said)+1)
	v.say(text)
	k.said = append(k.said, text)
}

// check compares what both see, and somebody who comes only now, with what
// was said: each message once, stored, and in one order for all.
func (k *talk) check(t *testing.T, c *clustertest.Cluster) {
	t.Helper()
	late := visit(t, c, 1, "/page")
	late.connect()
	var order []message
	for who, v := range map[string]*visitor{"Ann": k.ann, "Bob": k.bob, "who came late": late} {
		var seen []message
		clustertest.Until(t, 10*time.Second, who+" sees all, stored", func() bool {
			seen = v.messages()
			return len(seen) >= len(k.said) && !slices.ContainsFunc(seen, func(m message) bool { return m.Offset == "" })
		})
		texts := map[string]int{}
		for _, m := range seen {
			texts[m.Text]++
		}
		for _, text := range k.said {
			if texts[text] != 1 {
				t.Errorf("%s sees %q %d times", who, text, texts[text])
			}
		}
		for _, whose := range []string{"Ann's", "Bob's"} {
			var said, heard []string
			for _, text := range k.said {
				if strings.HasPrefix(text, whose) {
					said = append(said, text)
				}
			}
			for _, m := range seen {
				if strings.HasPrefix(m.Text, whose) {
					heard = append(heard, m.Text)
				}
			}
			if !slices.Equal(said, heard) {
				t.Errorf("%s sees %s words as %q, they were %q", who, whose, heard, said)
			}
		}
		if len(seen) != len(k.said) {
			t.Errorf("%s sees %d messages, %d were said", who, len(seen), len(k.said))
		}
		if order == nil {
			order = seen
		}
		if !slices.Equal(order, seen) {
			t.Errorf("%s sees another order:\n%v\nthan:\n%v", who, seen, order)
		}
	}
}
