package deployments

import (
	"fmt"
	"strconv"
	"testing"
)

// TestRun runs the compose file on this machine and connects to it from
// several addresses.
func TestRun(t *testing.T) {
	p := compose(t)
	h := newHost(t, p)
	h.up()
	url := "http://" + h.addr("nginx") + ":8080"

	used := map[string]*client{}
	for i := range 12 {
		c := newClient(t, url, fmt.Sprintf("127.0.%d.1", i)) // ip_hash looks at three octets
		c.connect(fmt.Sprintf(`{"name":"client %d"}`, i))
		slot, err := strconv.Atoi(c.worker)
		if err != nil {
			t.Fatal(err)
		}
		c.emit(-1, "b:message", map[string]any{})
		c.until(`"s:message"`, fmt.Sprintf(`"/: %d"`, 3131+slot))
		used[c.worker] = c
	}
	if len(used) != 4 {
		t.Errorf("12 clients use %d workers, want 4", len(used))
	}
	t.Logf("12 clients on %d workers, each on one", len(used))

	var said int
	for from, c := range used {
		text := "hello from worker " + from
		c.emit(7, "chat", map[string]any{"id": from, "text": text})
		for to, d := range used {
			d.until(`"chat"`, text)
			if to != from {
				said++
			}
		}
	}
	t.Logf("%d messages crossed from one worker to another", said)

	// A client whose address changes reaches a worker that forwards to its own.
	c := newClient(t, url, "")
	c.dial.LocalAddr = used["0"].dial.LocalAddr
	c.open()
	c.dial.LocalAddr, c.via = used["1"].dial.LocalAddr, "1"
	if got := c.request("40"); got != "ok" {
		t.Errorf("forwarded POST answered %q", got)
	}
}
