package e2e

import (
	"fmt"
	"testing"

	"github.com/samedoor/samedoor/internal/clustertest"
)

// Two tabs share the browser's connections, and with keep-alive their requests
// come down them in any order: each session's still reach its worker, even
// where the connection was given to the other tab's.
func TestTwoTabs(t *testing.T) {
	for _, strategy := range []string{"master", "sid", "redis"} { // nginx and server keep an address together, as master does
		t.Run(strategy, func(t *testing.T) {
			t.Parallel()
			twoTabs(t, start(t, strategy))
		})
	}
}

func twoTabs(t *testing.T, c *clustertest.Cluster) {
	one := visit(t, c, 1, "/page")
	two := visitIn(t, c, one.network, one.Context(), "/page")
	tabs := []*visitor{one, two}
	for round := range 3 {
		for _, v := range tabs {
			v.must(v.button("Connect").Click()) // both at once
		}
		for _, v := range tabs {
			v.connected(soon)
		}
		if a, b := one.text("sid"), two.text("sid"); a == b {
			t.Errorf("both tabs show session %s", a)
		}
		for i, v := range tabs {
			text := fmt.Sprintf("round %d of tab %d", round, i)
			v.say(text)
			for _, o := range tabs {
				o.sees(soon, text)
			}
		}
		for _, v := range tabs {
			v.must(v.button("Disconnect").Click())
			v.must(v.expect(v.GetByTestId("transport"), soon).ToHaveText("disconnected"))
		}
	}
	slots, pools := map[string]bool{}, map[int]int{}
	for _, v := range tabs {
		v.note(func() {
			for id := range v.pool {
				pools[id]++
			}
			for _, r := range v.responses {
				slots[r.Headers()["x-samedoor-worker"]] = true
				if r.Status() != 200 {
					t.Errorf("%s %s was answered %d", r.Request().Method(), r.URL(), r.Status())
				}
			}
			for _, u := range v.upgrades {
				if u.status != 101 {
					t.Errorf("an upgrade was answered %d", u.status)
				}
			}
			if len(v.upgrades) != 3 {
				t.Errorf("%d upgrades in three rounds", len(v.upgrades))
			}
		})
	}
	shared, forwarded := 0, 0
	for _, tabs := range pools {
		shared += tabs - 1
	}
	for _, w := range c.Status().Workers {
		forwarded += w.Forwarded
		if w.Refused > 0 {
			t.Errorf("worker %d refused %d requests", w.Slot, w.Refused)
		}
	}
	t.Logf("%d connections, %d of them shared; sessions on %d workers; %d requests forwarded", len(pools), shared, len(slots), forwarded)
	if shared == 0 {
		t.Error("the tabs share no connection: nothing was proved")
	}
}
