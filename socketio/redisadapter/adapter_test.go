package redisadapter

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/samedoor/samedoor/socketio"
	"github.com/samedoor/samedoor/socketio/internal/load"
)

// A node is one server of the cluster, with one client.
type node struct {
	*socketio.Server
	addr   string
	socket *socketio.Socket
	client *load.Client
	heard  chan string
}

var vote = regexp.MustCompile(`^42(\d+)\["vote"\]$`)

func startNode(t *testing.T, url, name string) *node {
	o, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(o)
	s := socketio.NewServer(socketio.Options{Adapter: New(client, Options{RequestsTimeout: 2 * time.Second})})
	n := &node{Server: s, heard: make(chan string, 100)}
	sockets := make(chan *socketio.Socket, 1)
	s.OnConnection(func(c *socketio.Socket) { c.Set("name", name); sockets <- c })
	s.OnServerSide("double", func(args socketio.Args, ack func(any)) { ack(2 * args.Any(0).(float64)) })
	srv := httptest.NewServer(s)
	t.Cleanup(func() {
		_ = s.Close()
		srv.Close()
		_ = client.Close()
	})
	n.addr = strings.TrimPrefix(srv.URL, "http://")
	n.connect(t)
	n.socket = <-sockets
	return n
}

func (n *node) connect(t *testing.T) {
	var err error
	if n.client, err = load.Dial(n.addr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.client.Close)
	go func() {
		for {
			m, err := n.client.Read()
			if err != nil {
				return
			}
			if id := vote.FindSubmatch(m); id != nil {
				_ = n.client.Write("43" + string(id[1]) + `["yes"]`)
				continue
			}
			n.heard <- string(m)
		}
	}()
}

func (n *node) hear(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		select {
		case m := <-n.heard:
			if m != w {
				t.Errorf("%q, want %q", m, w)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("did not hear %q", w)
		}
	}
}

// together waits until n servers are subscribed.
func together(t *testing.T, s *node, n int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if got, err := s.Adapter().ServerCount(t.Context()); got == n {
			break
		} else if time.Now().After(end) {
			t.Fatalf("%d servers, want %d: %v", got, n, err)
		}
	}
	time.Sleep(50 * time.Millisecond) // the pattern is subscribed after the channels
}

func TestCluster(t *testing.T) {
	mini := miniredis.RunT(t)
	url := "redis://" + mini.Addr()
	a, b := startNode(t, url, "a"), startNode(t, url, "b")
	together(t, a, 2)
	ctx := t.Context()

	_ = a.Emit("news", map[string]any{"deep": []byte("bytes")}, 1.5)
	want := `451-["news",{"deep":{"_placeholder":true,"num":0}},1.5]`
	a.hear(t, want, "bytes")
	b.hear(t, want, "bytes")
	b.socket.Join("room")
	_ = a.To("room").Emit("x")
	_ = a.Local().Emit("here")
	_ = b.Except("room").Emit("y", 1)
	a.hear(t, `42["here"]`, `42["y",1]`)
	b.hear(t, `42["x"]`)

	if got, err := a.Timeout(3*time.Second).EmitWithAck(ctx, "vote"); err != nil || len(got) != 2 || got[1].Any(0) != "yes" {
		t.Error(got, err)
	}
	all, err := a.FetchSockets(ctx)
	if err != nil || len(all) != 2 {
		t.Fatal(all, err)
	}
	i := slices.IndexFunc(all, func(r *socketio.RemoteSocket) bool { return r.ID == b.socket.ID() })
	if !slices.Contains(all[i].Rooms, "room") || string(all[i].Data) != `{"name":"b"}` {
		t.Errorf("%+v", all[i].SocketDetails)
	}
	_ = all[i].Emit("to you")
	b.hear(t, `42["to you"]`)
	if got, err := all[i].EmitWithAck(ctx, "vote"); err != nil || got.Any(0) != "yes" {
		t.Error(got, err)
	}
	if got, err := a.ServerSideEmitWithAck(ctx, "double", 21); err != nil || !reflect.DeepEqual(got, []any{42.0}) {
		t.Error(got, err)
	}
	_ = a.SocketsJoin("all")
	for end := time.Now().Add(5 * time.Second); !slices.Contains(b.socket.Rooms(), "all") && time.Now().Before(end); {
		time.Sleep(time.Millisecond) // the embedded Redis keeps no order between channels and patterns
	}
	_ = a.To("all").Emit("z")
	a.hear(t, `42["z"]`)
	b.hear(t, `42["z"]`)
	_ = b.DisconnectSockets(false)
	a.hear(t, "41")
	b.hear(t, "41")

	_, _ = a.Close(), b.Close()
	for end := time.Now().Add(5 * time.Second); a.Engine().Len()+b.Engine().Len() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("sessions are left")
		}
	}
}

func TestRedisGoesAndComesBack(t *testing.T) {
	mini := miniredis.RunT(t)
	url := "redis://" + mini.Addr()
	a, b := startNode(t, url, "a"), startNode(t, url, "b")
	together(t, a, 2)
	mini.Close()
	for i := range 3 {
		began := time.Now()
		if err := a.Emit("local", i); err != nil || time.Since(began) > time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	}
	a.hear(t, `42["local",0]`, `42["local",1]`, `42["local",2]`)
	if err := mini.Restart(); err != nil {
		t.Fatal(err)
	}
	together(t, a, 2)
	for end := time.Now().Add(10 * time.Second); ; { // until both patterns are subscribed again
		_ = a.Emit("again")
		select {
		case m := <-b.heard:
			if m == `42["again"]` { // what was published before may have been retried
				return
			}
		case <-time.After(100 * time.Millisecond):
		}
		if time.Now().After(end) {
			t.Fatal("the cluster did not come back")
		}
	}
}

// TestWithNode shares a cluster with npm's adapter and emitter. NODE_SOCKETIO
// names a node_modules folder with socket.io, @socket.io/redis-adapter,
// @socket.io/redis-emitter and redis in it.
func TestWithNode(t *testing.T) {
	modules := os.Getenv("NODE_SOCKETIO")
	if modules == "" {
		if os.Getenv("E2E_REQUIRED") != "" {
			t.Fatal("NODE_SOCKETIO is not set: make test sets it")
		}
		t.Skip("NODE_SOCKETIO is not set")
	}
	mini := miniredis.RunT(t)
	url := "redis://" + mini.Addr()
	if real := os.Getenv("REDIS"); real != "" {
		url = real
	}
	p := load.Start(t, exec.Command("node", "testdata/node.cjs", modules, url))
	do := func(what string) string {
		t.Helper()
		resp, err := http.Get("http://" + p.Addr + "/" + what)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != 200 {
			t.Errorf("%s: %s", what, b)
		}
		return string(b)
	}
	g := startNode(t, url, "go")
	n := &node{addr: p.Addr, heard: make(chan string, 100)}
	n.connect(t)
	together(t, g, 2)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()

	do("emit")
	event := `451-["news","node",{"n":[1,-7,1.5,70000,null,true,"ü"]},{"_placeholder":true,"num":0}]`
	g.hear(t, event, "bytes")
	n.hear(t, event, "bytes")
	_ = g.Emit("news", "go", map[string]any{"n": []any{1, -7, 1.5, 70000, 1 << 40, nil, true, "ü"}}, []byte("bytes"))
	event = `451-["news","go",{"n":[1,-7,1.5,70000,1099511627776,null,true,"ü"]},{"_placeholder":true,"num":0}]`
	n.hear(t, event, "bytes")
	g.hear(t, event, "bytes")
	do("emitter")
	g.hear(t, `451-["news","emitter",{"_placeholder":true,"num":0}]`, "b")
	n.hear(t, `451-["news","emitter",{"_placeholder":true,"num":0}]`, "b")
	g.socket.Join("room")
	do("room")
	do("except")
	g.hear(t, `42["news","room"]`)
	n.hear(t, `42["news","except"]`)

	if got := do("vote"); got != `["yes","yes"]` {
		t.Error("node's vote:", got)
	}
	if got, err := g.Timeout(3*time.Second).EmitWithAck(ctx, "vote"); err != nil || len(got) != 2 || got[0].Any(0) != "yes" {
		t.Error("go's vote:", got, err)
	}
	var fetched []struct {
		ID, Host string
		Rooms    []string
		Data     map[string]string
	}
	if err := json.Unmarshal([]byte(do("fetch")), &fetched); err != nil || len(fetched) != 2 {
		t.Fatal(fetched, err)
	}
	i := slices.IndexFunc(fetched, func(f struct {
		ID, Host string
		Rooms    []string
		Data     map[string]string
	}) bool {
		return f.ID == g.socket.ID()
	})
	if i < 0 || fetched[i].Data["name"] != "go" || !slices.Contains(fetched[i].Rooms, "room") || fetched[i].Host == "" {
		t.Errorf("node fetched %+v", fetched)
	}
	all, err := g.FetchSockets(ctx)
	i = slices.IndexFunc(all, func(r *socketio.RemoteSocket) bool { return strings.Contains(string(r.Data), "on node") })
	if err != nil || len(all) != 2 || i < 0 {
		t.Fatal("go fetched", all, err)
	}
	_ = all[i].Emit("just you")
	n.hear(t, `42["just you"]`)
	do("join")
	for !slices.Contains(g.socket.Rooms(), "joined by node") && ctx.Err() == nil {
		time.Sleep(5 * time.Millisecond)
	}
	do("leave")
	for slices.Contains(g.socket.Rooms(), "joined by node") && ctx.Err() == nil {
		time.Sleep(5 * time.Millisecond)
	}
	if got := do("ask"); got != `[42]` {
		t.Error("node asked:", got)
	}
	if got, err := g.ServerSideEmitWithAck(ctx, "triple", 7); err != nil || !reflect.DeepEqual(got, []any{21.0}) {
		t.Error("go asked:", got, err)
	}
	do("disconnect")
	g.hear(t, "41")
	n.hear(t, "41")
}

func FuzzMsgpack(f *testing.F) {
	f.Add(appendMsgpack(nil, []any{"uid", map[string]any{"a": []any{1, -1, 1.5, nil, true, []byte("b")}}}))
	f.Add([]byte{0xdf, 0xff, 0xff, 0xff, 0xff})
	f.Add(bytes.Repeat([]byte{0x91}, 1000))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := parseMsgpack(b)
		if err != nil {
			return
		}
		again, err := parseMsgpack(appendMsgpack(nil, v))
		if err != nil || !reflect.DeepEqual(v, again) && v == v && !bytes.Contains(b, []byte{0xcb}) && !bytes.Contains(b, []byte{0xca}) {
			t.Errorf("%x: %v became %v, %v", b, v, again, err)
		}
	})
}
