package e2e

import (
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/bus/bustest"
	"github.com/samedoor/samedoor/internal/clustertest"
)

// clients is how many source addresses each strategy is tried from.
const clients = 5

// Whoever comes, from whatever address: all requests of the session are
// answered by the worker that opened it, and it becomes a WebSocket. Then they
// talk.
func TestHandshake(t *testing.T) {
	eachSticky(t, func(t *testing.T, c *clustertest.Cluster) {
		handshakes(t, c)
		t.Run("chat", func(t *testing.T) { chat(t, c) })
	})
	t.Run("redis with a real server", func(t *testing.T) {
		t.Parallel()
		handshakes(t, start(t, "redis", "--redis", bustest.StartRedis(t).URL()))
	})
}

// Without the safety net: no worker forwards, the strategy alone has to do.
func TestHandshakeStrict(t *testing.T) {
	for _, strategy := range []string{"nginx", "server", "master", "kernel", "sid"} { // redis lives by forwarding
		t.Run(strategy, func(t *testing.T) {
			t.Parallel()
			handshakes(t, start(t, strategy, "--strict"))
		})
	}
}

func handshakes(t *testing.T, c *clustertest.Cluster) {
	reached := map[int]bool{}
	for i := 1; i <= clients || len(reached) < 2 && i <= 3*clients; i++ {
		t.Run("from "+address(i), func(t *testing.T) { reached[oneHandshake(t, c, i)] = true })
		if conn, err := net.Dial("tcp", c.Addr); err == nil { // as many connections a page as there are workers would come round to one
			conn.Close()
		}
	}
	if len(reached) < 2 {
		t.Errorf("all addresses reached the workers %v: nothing was proved", reached)
	}
	s := c.Status()
	forwarded := 0
	for _, w := range s.Workers {
		forwarded += w.Forwarded
		if w.Refused > 0 {
			t.Errorf("worker %d refused %d requests", w.Slot, w.Refused)
		}
	}
	if wants := s.Strategy == "redis"; (forwarded > 0) != wants && s.Strategy != "sid" { // which of the page's connections a browser reuses, it chooses
		t.Errorf("%d requests were forwarded; strategy %s lives by that: %t", forwarded, s.Strategy, wants)
	}
}

// oneHandshake returns the slot that the session was opened in.
func oneHandshake(t *testing.T, c *clustertest.Cluster, i int) int {
	v := visit(t, c, i, "/page")
	v.connect()

	// What the browser saw.
	slot := -1
	v.note(func() {
		for _, r := range v.responses {
			if r.Status() != 200 {
				t.Errorf("%s %s was answered %d", r.Request().Method(), r.URL(), r.Status())
			}
			by, err := strconv.Atoi(r.Headers()["x-samedoor-worker"])
			if err != nil {
				t.Errorf("%s does not say which worker answered", r.URL())
			} else if slot < 0 && !strings.Contains(r.URL(), "sid=") {
				slot = by
			} else if by != slot {
				t.Errorf("%s was answered by worker %d, the session was opened by %d", r.URL(), by, slot)
			}
		}
		if len(v.responses) < 3 {
			t.Errorf("%d polling requests were seen", len(v.responses))
		}
		if len(v.upgrades) != 1 || v.upgrades[0].status != 101 || v.upgrades[0].header["x-samedoor-worker"] != strconv.Itoa(slot) {
			t.Errorf("WebSocket handshakes: %v, want one answered 101 by worker %d", v.upgrades, slot)
		}
	})

	// What the page shows.
	port := strconv.Itoa(c.Port + slot)
	for id, want := range map[string]string{
		"worker": strconv.Itoa(slot), "reply-root": "/: " + port, "reply-ws": port, "strategy": c.Status().Strategy,
	} {
		if got := v.text(id); got != want {
			t.Errorf("%s shows %q, want %q", id, got, want)
		}
	}
	sid := v.text("sid")
	if named := regexp.MustCompile(`^(\d+)(-\w+)?\.`).FindStringSubmatch(sid); named == nil || named[1] != strconv.Itoa(slot) {
		t.Errorf("sid %q does not name worker %d", sid, slot)
	}
	upgrade := v.GetByTestId("timeline").Locator("[data-step=upgrade]").First()
	for name, want := range map[string]string{"data-status": "101", "data-ok": "true", "data-worker": strconv.Itoa(slot)} {
		v.must(v.expect(upgrade, 5*time.Second).ToHaveAttribute(name, want))
	}

	// What the workers saw.
	var trace []struct {
		Step         string
		Status, Slot int
	}
	v.must(c.Get("/trace?sid="+url.QueryEscape(sid), &trace))
	steps := map[string]int{}
	for _, e := range trace {
		steps[e.Step] = e.Status
		if e.Slot != slot || e.Status >= 400 {
			t.Errorf("trace: %+v of a session in worker %d", e, slot)
		}
	}
	if steps["open"] != 200 || steps["post"] != 200 || steps["upgrade"] != 101 {
		t.Errorf("trace: %v", steps)
	}
	return slot
}
