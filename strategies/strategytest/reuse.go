package strategytest

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/samedoor/samedoor/internal/clustertest"
	"github.com/samedoor/samedoor/internal/doctor/doctortest"
	"github.com/samedoor/samedoor/internal/eioclient"
	"github.com/samedoor/samedoor/strategies"
)

// Twenty clients come by two connections, which a proxy keeps and reuses.
const (
	reusers  = 20
	reused   = 2
	exchange = 8 // of echoes, each
)

// Strangers runs the part of the suite where clients come to wrong workers.
func Strangers(t *testing.T, info strategies.Info, want Want) {
	args := append([]string{"--strategy", info.Name}, want.Args...)
	c := clustertest.Start(t, args...)
	t.Run("connections reused", func(t *testing.T) { reuses(t, info, want, c) })
	t.Run("addresses that change", func(t *testing.T) { moves(t, info, want, c) })
}

// reuses puts proxies in front of the cluster that send several clients'
// requests down one connection. Whoever passes connections sends all but the first
// to the wrong worker; forwarding is what makes it right.
func reuses(t *testing.T, info strategies.Info, want Want, c *clustertest.Cluster) {
	t.Run("pipelined", func(t *testing.T) {
		url, p := interleaved(t, c.Addr, reused)
		reuse(t, info, want, c, url, reusers)
		if n := p.most.Load(); n < 3 {
			t.Errorf("at most %d requests waited on one connection: is it a pipeline?", n)
		}
	})
	t.Run("nginx", func(t *testing.T) {
		at := fmt.Sprintf("%s:%d", proxyAddr, clustertest.Ports(t))
		doctortest.Nginx(t, at, fmt.Sprintf(`
map $http_upgrade $up { default upgrade; '' ''; }
upstream samedoor { server %s; keepalive %d; }
server {
    listen %s;
    location / {
        proxy_pass http://samedoor;
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $up;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_request_buffering off;
    }
}`, c.Addr, reused, at))
		reuse(t, info, want, c, "http://"+at, reused) // of more at a time nginx would close the connections
	})
}

// reuse lets clients talk through a proxy at url, so many at a time.
func reuse(t *testing.T, info strategies.Info, want Want, c *clustertest.Cluster, url string, atATime int) {
	t.Helper()
	forwardedBefore := forwarded(c)
	all := newTally()
	var mu sync.Mutex
	slots := map[int]int{}
	var wg sync.WaitGroup
	turn := make(chan struct{}, atATime)
	for i := range reusers {
		wg.Go(func() {
			client := eioclient.New(url, from(i))
			began := client
			if i%2 == 0 { // half of the sessions began elsewhere
				began = eioclient.New(c.URL, from(i))
			}
			sid, a, err := began.Open()
			if err != nil || a.Status != 200 {
				all.add(fmt.Sprintf("open %d %v", a.Status, err))
				return
			}
			mu.Lock()
			slots[a.Worker]++
			mu.Unlock()
			v := &visitor{Client: client, name: fmt.Sprintf("client %d", i), sid: sid, slot: a.Worker, tally: all}
			within := func(f func() bool) bool {
				turn <- struct{}{}
				defer func() { <-turn }()
				return f()
			}
			if !within(v.join) {
				return
			}
			for n := 1; n <= exchange; n++ {
				if !within(func() bool { return v.echo(n) }) {
					return
				}
			}
			if atATime < reusers { // it can carry a WebSocket
				within(v.upgrade)
			}
		})
	}
	wg.Wait()
	n := forwarded(c) - forwardedBefore
	t.Logf("%d clients on slots %v, %d forwarded: %v", reusers, slots, n, all)
	if len(slots) < 2 {
		t.Errorf("all sessions are on one slot: %v", slots)
	}
	if !want.Sticky {
		if all.of("400") == 0 || all.of("right") > reusers*exchange/2 {
			t.Errorf("without a strategy: %v: is the test one?", all)
		}
		return
	}
	if all.of("right") != reusers*exchange || len(all.n) > 1 {
		t.Errorf("want %d right, and nothing else: %v", reusers*exchange, all)
	}
	if n == 0 && info.Name != "nginx" { // which picks by request
		t.Error("nothing was forwarded: is the test one?")
	}
}

func forwarded(c *clustertest.Cluster) (n int) {
	for _, w := range c.Status().Workers {
		n += w.Forwarded
	}
	return n
}

// A visitor has a session and counts how its requests are answered.
type visitor struct {
	*eioclient.Client
	name  string
	sid   string
	slot  int // that holds the session
	tally *tally
}

// good tells whether an answer is one, and counts it if not.
func (v *visitor) good(a eioclient.Answer, err error) bool {
	switch {
	case err != nil:
		v.tally.add("error " + err.Error())
	case a.Status == 400:
		v.tally.add("400")
	case a.Status != 200 && a.Status != 101:
		v.tally.add(fmt.Sprintf("%d %.80s", a.Status, a.Body))
	case a.Worker != v.slot:
		v.tally.add(fmt.Sprintf("answered by %d, owner %d", a.Worker, v.slot))
	default:
		return true
	}
	return false
}

// join joins /ws, where nobody says anything unasked.
func (v *visitor) join() bool { return v.post("40/ws,") && v.poll("40/ws,{") }

// echo asks for what names this client and this round, and for nothing else.
func (v *visitor) echo(n int) bool {
	text := fmt.Sprintf(`%d["%s %s"]`, n, v.name, strings.Repeat("x", 400*n))
	ok := v.post(`42/ws,`+strings.Replace(text, "[", `["echo",`, 1)) && v.poll("43/ws,"+text)
	if ok {
		v.tally.add("right")
	}
	return ok
}

func (v *visitor) post(packet string) bool {
	a, err := v.Post(v.sid, packet)
	if !v.good(a, err) {
		return false
	}
	if a.Body != "ok" {
		v.tally.add(fmt.Sprintf("a POST is answered %.40s", a.Body))
	}
	return a.Body == "ok"
}

// poll expects a packet that begins so, maybe after a ping.
func (v *visitor) poll(packet string) bool {
	a, err := v.Poll(v.sid)
	if !v.good(a, err) {
		return false
	}
	if body, pinged := strings.CutPrefix(a.Body, "2"); pinged {
		if !v.post("3") {
			return false
		}
		if a.Body = strings.TrimPrefix(body, "\x1e"); a.Body == "" {
			return v.poll(packet)
		}
	}
	if !strings.HasPrefix(a.Body, packet) || strings.Contains(a.Body, "\x1e") {
		v.tally.add(fmt.Sprintf("%s was sent %.60q", v.name, a.Body))
		return false
	}
	return true
}

// upgrade goes on by WebSocket.
func (v *visitor) upgrade() bool {
	conn, a, err := v.Upgrade(v.sid)
	if !v.good(a, err) {
		return false
	}
	defer conn.Close()
	for _, say := range [][2]string{{"2probe", "3probe"}, {"5", ""}, {`42/ws,99["echo","` + v.name + `"]`, `43/ws,99["` + v.name + `"]`}} {
		if say[1] == "" {
			err = conn.WriteMessage(1, []byte(say[0]))
		} else {
			_, err = eioclient.Ask(conn, say[0], say[1])
		}
		if err != nil {
			v.tally.add("websocket: " + err.Error())
			return false
		}
	}
	return true
}

// moves has clients whose address changes from request to request. (A phone
// leaves the Wi-Fi, a company has several ways out.)
func moves(t *testing.T, info strategies.Info, want Want, c *clustertest.Cluster) {
	all := newTally()
	slots := map[int]int{}
	for i := range reusers {
		hop := 0
		next := func() *eioclient.Client {
			hop++
			return eioclient.New(c.URL, from((i+7*hop)%200))
		}
		sid, a, err := next().Open()
		if err != nil || a.Status != 200 {
			t.Fatalf("open: %d %v", a.Status, err)
		}
		slots[a.Worker]++
		v := &visitor{name: fmt.Sprintf("client %d", i), sid: sid, slot: a.Worker, tally: all}
		roam := func(f func() bool) bool { v.Client = next(); return f() }
		ok := roam(func() bool { return v.post("40/ws,") }) && roam(func() bool { return v.poll("40/ws,{") })
		for n := 1; ok && n <= 3; n++ {
			text := fmt.Sprintf(`%d["%s"]`, n, v.name)
			ok = roam(func() bool { return v.post(`42/ws,` + strings.Replace(text, "[", `["echo",`, 1)) }) && roam(func() bool { return v.poll("43/ws," + text) })
		}
		if ok && roam(v.upgrade) {
			all.add("right")
		}
	}
	t.Logf("%d clients that move, on slots %v, %d forwarded: %v", reusers, slots, forwarded(c), all)
	switch {
	case len(slots) < 2:
		t.Errorf("all sessions are on one slot: %v", slots)
	case !want.Sticky && (all.of("400") == 0 || all.of("right") > reusers/2):
		t.Errorf("without a strategy: %v: is the test one?", all)
	case want.Sticky && (all.of("right") != reusers || len(all.n) > 1):
		t.Errorf("want %d right, and nothing else: %v", reusers, all)
	case want.Sticky && info.Name != "sid" && info.Name != "nginx" && forwarded(c) == 0:
		t.Error("nothing was forwarded: is the test one?")
	}
}
