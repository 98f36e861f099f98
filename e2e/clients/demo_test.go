package clients

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/clustertest"
)

// demo is a page that was served with a token.
type demo struct {
	*clustertest.Cluster
	t     *testing.T
	token string
}

func newDemo(t *testing.T, args ...string) demo {
	d := demo{clustertest.Start(t, args...), t, ""}
	if d.token = d.page(d.Addr); d.token == "" {
		t.Fatal("the page has no token")
	}
	return d
}

var tokenOf = regexp.MustCompile(`<body [^>]*data-demo data-demo-token="([A-Z2-7]{26})">`)

// page returns the token of the page as asked for under a Host, "" for none.
func (d demo) page(host string) string {
	d.t.Helper()
	_, body := d.ask("GET", "/page", map[string]string{"Host": host})
	if m := tokenOf.FindStringSubmatch(body); m != nil {
		return m[1]
	}
	if strings.Contains(body, "data-demo") || d.token != "" && strings.Contains(body, d.token) {
		d.t.Errorf("the page for %s has part of it: %.500s", host, body)
	}
	return ""
}

// ask sends a request on a connection of its own.
func (d demo) ask(method, path string, header map[string]string) (status int, body string) {
	d.t.Helper()
	r, err := http.NewRequest(method, d.URL+path, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	if h := header["Host"]; h != "" {
		r.Host = h
	}
	client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	if err != nil {
		d.t.Error(err)
		return 0, ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Error(err)
	}
	return resp.StatusCode, string(b)
}

// order is ask as the page's buttons do it; change replaces headers.
func (d demo) order(path string, change map[string]string) (status int, body string) {
	d.t.Helper()
	h := map[string]string{"Origin": d.URL, "X-Samedoor-Token": d.token}
	for k, v := range change {
		if h[k] = v; v == "" {
			delete(h, k)
		}
	}
	return d.ask("POST", path, h)
}

// ready waits until a slot serves with another process, restarted so often.
func (d demo) ready(slot, not, restarts int) {
	d.t.Helper()
	clustertest.Until(d.t, 20*time.Second, "slot "+strconv.Itoa(slot)+" is served again", func() bool {
		var s clustertest.Status // whoever would answer may be who dies
		return d.Get("/cluster", &s) == nil && s.Workers[slot].State == "ready" && s.Workers[slot].PID != not && s.Workers[slot].Restarts >= restarts
	})
	if got := d.Status().Workers[slot].Restarts; got != restarts {
		d.t.Errorf("slot %d: %d restarts, want %d", slot, got, restarts)
	}
}

func TestDemoOrders(t *testing.T) {
	// No death by order counts: with --max-restarts 0 one death that did would
	// be the slot's last.
	d := newDemo(t, "--workers", "3", "--max-restarts", "0")
	before := d.Status().Workers
	for n, order := range []string{"kill", "restart", "kill"} {
		for slot := range 3 { // through whichever worker; one of them orders its own end
			pid := d.Worker(slot)
			if status, body := d.order("/demo/"+order+"?slot="+strconv.Itoa(slot), nil); status != 202 || body != `{"ok":true,"slot":`+strconv.Itoa(slot)+"}\n" {
				t.Fatalf("%s: %d %s", order, status, body)
			}
			d.ready(slot, pid, n+1)
		}
	}
	if same := d.page(d.Addr); same != d.token {
		t.Errorf("the successors' pages have another token: %s, %s", d.token, same)
	}
	for slot, w := range d.Status().Workers {
		if w.PID == before[slot].PID {
			t.Errorf("slot %d still has its first process", slot)
		}
	}
	if log := d.Log(); strings.Contains(log, "worker died") || strings.Contains(log, d.token) {
		t.Errorf("the log takes orders for deaths, or has the token:\n%s", log)
	}
}

func TestDemoRefuses(t *testing.T) {
	d := newDemo(t, "--workers", "2")
	port := d.Addr[strings.LastIndexByte(d.Addr, ':'):]
	pids := [2]int{d.Worker(0), d.Worker(1)}
	for _, tt := range []struct {
		name   string
		path   string
		change map[string]string
		status int
		why    string
	}{
		{"another site", "", map[string]string{"Origin": "http://evil.example"}, 403, "Origin"},
		{"another port", "", map[string]string{"Origin": "http://127.0.0.1:1"}, 403, "Origin"},
		{"another scheme", "", map[string]string{"Origin": "https://" + d.Addr}, 403, "Origin"},
		{"another name for this host", "", map[string]string{"Origin": "http://localhost" + port}, 403, "Origin"},
		{"more than an origin", "", map[string]string{"Origin": d.URL + "/page"}, 403, "Origin"},
		{"a user in it", "", map[string]string{"Origin": "http://a@" + d.Addr}, 403, "Origin"},
		{"no origin", "", map[string]string{"Origin": ""}, 403, "Origin"},
		{"a sandboxed page", "", map[string]string{"Origin": "null"}, 403, "Origin"},
		{"a rebound name", "", map[string]string{"Origin": "http://evil.example" + port, "Host": "evil.example" + port}, 403, "Host"},
		{"a rebound name that looks local", "", map[string]string{"Origin": "http://127.0.0.1.evil.example" + port, "Host": "127.0.0.1.evil.example" + port}, 403, "Host"},
		{"another Host", "", map[string]string{"Host": "192.0.2.1" + port, "Origin": "http://192.0.2.1" + port}, 403, "Host"},
		{"no token", "", map[string]string{"X-Samedoor-Token": ""}, 403, "X-Samedoor-Token"},
		{"a wrong token", "", map[string]string{"X-Samedoor-Token": strings.Repeat("A", 26)}, 403, "X-Samedoor-Token"},
		{"part of the token", "", map[string]string{"X-Samedoor-Token": d.token[:25]}, 403, "X-Samedoor-Token"},
		{"the token in the address", "/demo/kill?slot=0&token=" + d.token, map[string]string{"X-Samedoor-Token": ""}, 403, "X-Samedoor-Token"},
		{"slot out of range", "/demo/kill?slot=2", nil, 400, "slot"},
		{"slot below", "/demo/kill?slot=-1", nil, 400, "slot"},
		{"slot that is none", "/demo/restart?slot=first", nil, 400, "slot"},
		{"no slot", "/demo/restart", nil, 400, "slot"},
		{"unknown order", "/demo/explode?slot=0", nil, 404, "explode"},
	} {
		path := tt.path
		if path == "" {
			path = "/demo/kill?slot=0"
		}
		status, body := d.order(path, tt.change)
		var a struct {
			OK    bool
			Error string
		}
		if err := json.Unmarshal([]byte(body), &a); err != nil || status != tt.status || a.OK || !strings.Contains(a.Error, tt.why) || strings.Count(body, "\n") != 1 {
			t.Errorf("%s: %d %s, want %d for its %s", tt.name, status, body, tt.status, tt.why)
		}
	}
	for _, method := range []string{"GET", "HEAD", "PUT", "OPTIONS"} {
		if status, _ := d.ask(method, "/demo/kill?slot=0", map[string]string{"Origin": d.URL, "X-Samedoor-Token": d.token}); status != 405 {
			t.Errorf("%s: %d", method, status)
		}
	}
	if got := d.page("evil.example" + port); got != "" {
		t.Error("a rebound name is served the token")
	}
	for slot, pid := range pids {
		if got := d.Worker(slot); got != pid {
			t.Errorf("a refused order ended worker %d", slot)
		}
	}
	for _, host := range []string{"localhost" + port, "127.0.0.9" + port, "[::1]" + port} { // by which one may come, tunnels included
		pid := d.Worker(0)
		if d.page(host) != d.token {
			t.Errorf("%s: the page has no token", host)
		}
		if status, body := d.order("/demo/restart?slot=0", map[string]string{"Host": host, "Origin": "http://" + host}); status != 202 {
			t.Errorf("%s: %d %s", host, status, body)
		}
		clustertest.Until(t, 20*time.Second, "a restart", func() bool {
			var s clustertest.Status
			return d.Get("/cluster", &s) == nil && s.Workers[0].State == "ready" && s.Workers[0].PID != pid
		})
	}
}

// TestDemoStorm orders kills much faster than workers start.
func TestDemoStorm(t *testing.T) {
	d := newDemo(t, "--workers", "2", "--max-restarts", "0", "--strategy", "redis") // any worker takes orders
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			client := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
			r, _ := http.NewRequest("POST", d.URL+"/demo/kill?slot="+strconv.Itoa(i%2), nil)
			r.Header.Set("Origin", d.URL)
			r.Header.Set("X-Samedoor-Token", d.token)
			resp, err := client.Do(r)
			if err != nil {
				return // it was with a worker that another order killed
			}
			resp.Body.Close()
			if resp.StatusCode != 202 && resp.StatusCode != 503 {
				t.Errorf("answered %s", resp.Status)
			}
		})
	}
	all.Wait()
	clustertest.Until(t, 30*time.Second, "both are ready again", func() bool {
		var s clustertest.Status
		return d.Get("/cluster", &s) == nil && s.Workers[0].State == "ready" && s.Workers[1].State == "ready"
	})
	ended := d.Status()
	if n := ended.Workers[0].Restarts + ended.Workers[1].Restarts; n == 0 || n > 50 {
		t.Errorf("%d restarts for 50 orders", n)
	} else {
		t.Logf("%d restarts for 50 orders", n)
	}
	pid := d.Worker(1)
	if status, body := d.order("/demo/restart?slot=1", nil); status != 202 {
		t.Fatalf("%d %s", status, body)
	}
	d.ready(1, pid, ended.Workers[1].Restarts+1)
}

func TestDemoOff(t *testing.T) {
	for _, args := range [][]string{{"--no-demo"}, {"--demo=false"}, {"--addr", "0.0.0.0:0"}} {
		d := demo{Cluster: clustertest.Start(t, append(args, "--workers", "1")...), t: t}
		if got := d.page(d.Addr); got != "" {
			t.Errorf("%v: the page has a token", args)
		}
		if status, _ := d.order("/demo/kill?slot=0", nil); status != 404 {
			t.Errorf("%v: %d", args, status)
		}
		d.Stop()
	}
	// On a wildcard, asked for: by any address, but by no name.
	d := newDemo(t, "--demo", "--addr", "0.0.0.0:0", "--workers", "1")
	if d.page("192.0.2.1") != d.token || d.page("evil.example") != "" {
		t.Error("a wildcard address is not every address and no name")
	}
}
