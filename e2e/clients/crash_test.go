package clients

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/bus/bustest"
	"github.com/samedoor/samedoor/internal/clustertest"
)

// diary is what a live client was told in its room, and what of its own was
// acknowledged: pairs of offset and id, and of id and offset.
type diary struct {
	Seen, Acked [][2]string
}

// TestCrashes: kill -9 of each worker in turn under 50 chatting clients loses
// and doubles nothing that was acknowledged, and refuses no connection.
func TestCrashes(t *testing.T) {
	each(t, sticky, func(t *testing.T, strategy string) {
		t.Parallel()
		args := []string{"--strategy", strategy}
		if strategy == "redis" {
			args = append(args, "--redis", bustest.StartRedis(t).URL())
		}
		rounds := 1
		if soak {
			rounds = 5
			args = append(args, "--max-restarts", "100", "--restart-delay", "100ms")
		}
		c := clustertest.Start(t, args...)
		for round := range rounds {
			crashes(t, c, strategy, fmt.Sprintf("round %d", round))
		}
	})
}

func crashes(t *testing.T, c *clustertest.Cluster, strategy, room string) {
	const (
		clients  = 50
		messages = 8 // a client's: all of them fit into a welcome's history
	)
	p := lively(t, config{URL: c.URL, Clients: clients, Addresses: clients, Route: strategy == "server", Room: room})
	p.do("say", "client", 0) // from now on everybody has an offset to resume from
	p.until(5*time.Second, "the first message seen", func(r report) bool { return r.Seen == 1 })
	homes := map[int]int{}
	for _, r := range p.reports() {
		homes[r.Slot]++
	}
	if len(homes) != 4 {
		t.Errorf("the clients are on %d slots", len(homes))
	}
	p.do("chat", "every", 600, "messages", messages)
	for slot := range 4 {
		time.Sleep(500 * time.Millisecond)
		successor(t, c, slot, kill(t, c, slot))
	}
	p.until(20*time.Second, "all messages acknowledged", func(r report) bool {
		return r.Here && r.Waiting == 0 && r.Said == messages
	})
	p.until(10*time.Second, "all messages seen", func(r report) bool { return r.Seen >= clients*messages })

	// The room as somebody finds it who was never there.
	late := lively(t, config{URL: c.URL, Clients: 1, Room: room, From: "0-0"})
	var found []diary
	late.get("logs", &found)
	history := found[0].Seen
	place := map[string]string{}
	for _, m := range history {
		if place[m[1]] != "" {
			t.Errorf("message %s is in the history twice", m[1])
		}
		place[m[1]] = m[0]
	}
	if len(history) != clients*messages {
		t.Errorf("%d messages in the history, want %d", len(history), clients*messages)
	}
	var all []diary
	p.get("logs", &all)
	for i, d := range all {
		for _, a := range d.Acked {
			if place[a[0]] != a[1] {
				t.Errorf("message %s was acknowledged at %s and is in the history at %q", a[0], a[1], place[a[0]])
			}
		}
		if len(d.Acked) != messages {
			t.Errorf("client %d: %d messages acknowledged", i, len(d.Acked))
		}
		if !slices.Equal(d.Seen, history) {
			t.Errorf("client %d saw %d messages, not the history's %d in their order once: %s", i, len(d.Seen), len(history), differ(d.Seen, history))
		}
	}

	lost, resets, again, stuck := 0, 0, 0, 0
	for _, r := range p.reports() {
		if len(r.Disconnects) == 0 {
			t.Errorf("client %d on slot %d did not notice that its worker died", r.I, r.Slot)
		}
		if r.Errors["ECONNREFUSED"] != 0 {
			t.Errorf("client %d was refused a connection: %v", r.I, r.Errors)
		}
		if r.Truncated != 0 {
			t.Errorf("client %d was told that something is missing", r.I)
		}
		lost += len(r.Disconnects)
		again += r.Statuses[400]
		stuck += r.Stuck
		for _, n := range r.Errors {
			resets += n
		}
	}
	t.Logf("4 workers killed: %d disconnects, %d connections reset, %d requests answered 400 (their session had died), %d upgrades ended halfway; %d messages acknowledged, each once in the history and once with each of %d clients",
		lost, resets, again, stuck, len(history), clients)
	p.do("stop")
	late.do("stop")
}

// differ tells the first difference.
func differ(a, b [][2]string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("at %d %v instead of %v", i, a[i], b[i])
		}
	}
	return "one is longer"
}
