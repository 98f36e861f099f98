package strategytest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/clustertest"
	"github.com/samedoor/samedoor/internal/doctor/doctortest"
	"github.com/samedoor/samedoor/strategies"
)

// Twenty clients, each in a /24 of its own, come through one address.
const (
	behindProxy = 20
	proxyAddr   = "127.0.0.1" // which no client has: see from
	forged      = "192.0.2.66"
)

// behind puts real proxies in front of the cluster. Clients are told apart by
// what the proxies say of them, and by nothing that they say themselves.
func behind(t *testing.T, info strategies.Info, want Want, args []string) {
	args = append(args, "--trust-proxies", proxyAddr)
	if want.Exact {
		args = append(args, "--strict")
	}
	c := clustertest.Start(t, args...)
	if said := strings.Contains(c.Log(), "share one worker") || strings.Contains(c.Log(), "X-Forwarded-For alone"); said != (info.Caveat != nil && info.Caveat(strategies.Config{Proxies: make(strategies.Proxies, 1)}) != "") {
		t.Errorf("the start-up says %v that proxies' clients cannot be told apart:\n%s", said, c.Log())
	}
	if !want.Sticky {
		return
	}
	direct := map[int]int{}
	for i := range behindProxy {
		direct[i] = openedBy(t, front(c), from(i))
	}
	forging := http.Header{"X-Forwarded-For": {forged}}
	t.Run("nobody", func(t *testing.T) { // is trusted who comes directly
		for i := range behindProxy {
			if slot := openedBy(t, door{c, c.URL, forging}, from(i)); want.Hashed && slot != direct[i] {
				t.Errorf("%s chose slot %d, its own is %d", from(i), slot, direct[i])
			}
		}
	})
	for name, run := range proxies(info) {
		t.Run(name, func(t *testing.T) {
			url := run(t, c.Addr)
			for _, d := range []door{{c, url, nil}, {c, url, forging}} {
				slots := map[int]int{}
				for i := range behindProxy {
					sid, slot, why := d.handshake(from(i))
					if slots[slot]++; why != "" {
						t.Errorf("%s: %s", from(i), why)
					}
					if want.Hashed && slot != direct[i] {
						t.Errorf("%s on slot %d, directly on %d", from(i), slot, direct[i])
					}
					told := sid + " client=" + from(i) + " "
					clustertest.Until(t, 10*time.Second, "the log tells the client's own address: "+told, func() bool {
						return strings.Contains(c.Log(), told)
					})
				}
				if info.Name == "kernel" && len(slots) > 1 || want.Hashed && len(slots) < 2 {
					t.Errorf("clients on slots %v", slots)
				}
			}
		})
	}
	if info.Name == "kernel" || want.Hashed {
		t.Run("a crowd", func(t *testing.T) { crowd(t, c) })
	}
	if strings.Contains(c.Log(), forged) {
		t.Errorf("clients chose what is logged:\n%s", c.Log())
	}
}

// crowd opens sessions that no proxy tells apart, and expects to be warned.
func crowd(t *testing.T, c *clustertest.Cluster) {
	if said := c.Status().Warnings; len(said) > 0 {
		t.Errorf("warned too early: %v", said)
	}
	d := front(c)
	for range 10 * behindProxy {
		openedBy(t, d, from(0))
	}
	said := strings.Join(c.Status().Warnings, " ")
	if !strings.Contains(said, "share an address") {
		t.Errorf("%d sessions of one address, and nobody says it: %q", 10*behindProxy, said)
	}
}

// openedBy returns the slot where a client opens a session.
func openedBy(t *testing.T, d door, addr string) int {
	t.Helper()
	at, err := d.base(addr)
	if err != nil {
		t.Fatal(err)
	}
	_, a, err := d.client(at, addr).Open()
	if err != nil || a.Status != http.StatusOK {
		t.Fatalf("%s: %d %v", addr, a.Status, err)
	}
	return a.Worker
}

// proxies are those that tell in a way which the strategy understands. Each is
// started in front of addr and returns its URL.
func proxies(info strategies.Info) map[string]func(t *testing.T, addr string) string {
	here := func(t *testing.T) string { // where `server` lets its clients connect: on the same host
		return fmt.Sprintf("%s:%d", proxyAddr, clustertest.Ports(t))
	}
	haproxy := func(mode, frontend, server string) func(*testing.T, string) string {
		return func(t *testing.T, addr string) string {
			at := here(t)
			doctortest.HAProxy(t, at, fmt.Sprintf(`defaults
  mode %s
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend f
  bind %s
  %s
  default_backend b
backend b
  server s %s %s
`, mode, at, frontend, addr, server))
			return "http://" + at
		}
	}
	all := map[string]func(*testing.T, string) string{
		"nginx": func(t *testing.T, addr string) string {
			at := here(t)
			doctortest.Nginx(t, at, `
map $http_upgrade $up { default upgrade; '' close; }
server {
    listen `+at+`;
    location / {
        proxy_pass http://`+addr+`;
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $up;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }
}`)
			return "http://" + at
		},
		"haproxy X-Forwarded-For": haproxy("http", "option forwardfor\n  option http-server-close", ""),
	}
	if info.Name != "nginx" {
		all["haproxy send-proxy"] = haproxy("tcp", "", "send-proxy")
		all["haproxy send-proxy-v2"] = haproxy("tcp", "", "send-proxy-v2")
		all["haproxy send-proxy-v2, and checks"] = haproxy("tcp", "", "send-proxy-v2 check check-send-proxy inter 100ms")
	}
	return all
}
