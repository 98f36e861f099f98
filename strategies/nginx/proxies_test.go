package nginx

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/samedoor/samedoor/strategies"
)

// Behind trusted proxies the clients' addresses decide, and nothing else that
// anybody may write.
func TestProxies(t *testing.T) {
	for _, method := range []string{"ip_hash", "hash", "sid"} {
		t.Run(method, func(t *testing.T) {
			c := newCluster(t, 4, method, func(c *strategies.Config) {
				c.Proxies, _ = strategies.ParseProxies([]string{"127.0.200.0/24", "127.0.201.1"})
			})
			const proxy, outer = "127.0.200.9", "127.0.201.1"
			slots := map[int]bool{}
			for i := range 20 {
				want := c.slotOf(client(i), "/")
				slots[want] = true
				for _, tt := range []struct{ from, told, x, f string }{
					{proxy, client(i), client(i), ""},
					{proxy, client(i), "192.0.2.1, " + client(i), ""},
					{proxy, client(i), "192.0.2.1, " + client(i) + ", " + outer, ""},
					{client(i), client(i), "192.0.2.1", ""},
					{client(i), client(i), "192.0.2.1", "for=192.0.2.1"},
				} {
					slot, text, err := c.get(tt.from, "/", nil, "X-Forwarded-For", tt.x, "Forwarded", tt.f)
					if told := fmt.Sprintf("xff=[%q]", tt.told); err != nil || slot != want || !strings.Contains(text, told) {
						t.Errorf("%+v: slot %d, want %d: %s %v", tt, slot, want, text, err)
					}
				}
			}
			if len(slots) < 2 {
				t.Errorf("all on %v", slots)
			}
			// What a proxy passes on of its client's own cannot be told from its own.
			apart := map[int]bool{}
			for i := range 20 {
				slot, text, err := c.get(proxy, "/", nil, "X-Forwarded-For", client(i), "Forwarded", "for="+client(i))
				if apart[slot] = true; err != nil || !strings.Contains(text, fmt.Sprintf("xff=[%q]", proxy)) {
					t.Errorf("both headers: %s %v", text, err)
				}
			}
			if len(apart) != 1 {
				t.Errorf("clients chose among %v", apart)
			}
		})
	}
}

// The PROXY protocol is a bad request, which takes nobody else along.
func TestPROXY(t *testing.T) {
	c := newCluster(t, 2, "", func(c *strategies.Config) {
		c.Proxies, _ = strategies.ParseProxies([]string{"127.0.0.0/8"})
	})
	conn, err := c.dial(client(1))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if status := firstStatus(conn, "PROXY TCP4 198.51.100.7 127.0.0.1 4711 443\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"); status != http.StatusBadRequest {
		t.Errorf("answered %d", status)
	}
	c.slotOf(client(1), "/")
	if !strings.Contains(Info.Caveat(c.cfg), "X-Forwarded-For") {
		t.Error("nobody is told")
	}
	if said := Info.Caveat(strategies.Config{}); said != "" {
		t.Errorf("without proxies: %s", said)
	}
}

// firstStatus sends text and returns the status of the answer, 0 if there is none.
func firstStatus(conn net.Conn, text string) (status int) {
	fmt.Fprint(conn, text)
	var buf [64]byte
	n, _ := conn.Read(buf[:])
	fmt.Sscanf(string(buf[:n]), "HTTP/1.1 %d", &status)
	return status
}
