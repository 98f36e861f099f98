package socketio_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/samedoor/samedoor/socketio"
	"github.com/samedoor/samedoor/socketio/engine"
	"github.com/samedoor/samedoor/socketio/internal/load"
)

// start serves s, and returns its address.
func start(t testing.TB, s *socketio.Server) string {
	srv := httptest.NewServer(s)
	t.Cleanup(func() {
		_ = s.Close()
		srv.Close()
	})
	return strings.TrimPrefix(srv.URL, "http://")
}

func ws(t testing.TB, addr string) *load.Client {
	t.Helper()
	c, err := load.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	_ = c.NetConn().SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

func say(t testing.TB, c *load.Client, m string) {
	t.Helper()
	if err := c.Write(m); err != nil {
		t.Fatal(err)
	}
}

func hear(t testing.TB, c *load.Client, want string) {
	t.Helper()
	if m, err := c.Read(); err != nil || string(m) != want {
		t.Fatalf("got %.200q %v, want %q", m, err, want)
	}
}

func TestEventsAreHandledInOrder(t *testing.T) {
	s := socketio.NewServer(socketio.Options{MaxPending: 10})
	var running atomic.Int32
	s.OnConnection(func(c *socketio.Socket) {
		c.On("n", func(e *socketio.Event) {
			if running.Add(1) > 1 {
				t.Error("two handlers of one socket run")
			}
			defer running.Add(-1)
			if n := e.Any(0).(float64); n == 0 || n == 50 {
				c.Session().Handoff()
				time.Sleep(20 * time.Millisecond) // what comes meanwhile queues
			}
			_ = e.Ack(e.Any(0))
		})
	})
	c := ws(t, start(t, s))
	for i := range 100 {
		say(t, c, fmt.Sprintf(`42%d["n",%d]`, i, i))
	}
	for i := range 100 {
		hear(t, c, fmt.Sprintf(`43%d[%d]`, i, i))
	}
}

func TestHandlerThatBlocksKeepsTheConnection(t *testing.T) {
	s := socketio.NewServer(socketio.Options{Engine: engine.Options{
		PingInterval: 50 * time.Millisecond, PingTimeout: 100 * time.Millisecond,
	}})
	s.OnConnection(func(c *socketio.Socket) {
		c.On("long", func(e *socketio.Event) {
			time.Sleep(600 * time.Millisecond) // several pings
			_ = e.Ack(c.Connected())
		})
	})
	c := ws(t, start(t, s))
	say(t, c, `421["long"]`)
	hear(t, c, `431[true]`)
}

func TestDisconnectHandlersComeLast(t *testing.T) {
	s := socketio.NewServer(socketio.Options{})
	steps := make(chan string, 10)
	s.OnConnection(func(c *socketio.Socket) {
		c.Join("room")
		c.On("save", func(e *socketio.Event) {
			time.Sleep(50 * time.Millisecond) // the client is gone when it ends
			steps <- "saved " + e.Any(0).(string)
		})
		c.OnDisconnecting(func(d socketio.Disconnection) { steps <- fmt.Sprint(len(c.Rooms()), " rooms") })
		c.OnDisconnect(func(d socketio.Disconnection) { steps <- fmt.Sprint(d.Reason, " ", len(c.Rooms())) })
	})
	c := ws(t, start(t, s))
	say(t, c, `42["save","a"]`)
	say(t, c, `42["save","b"]`)
	say(t, c, `41`)
	c.Close()
	for _, want := range []string{"saved a", "saved b", "2 rooms", "client namespace disconnect 1"} {
		if got := <-steps; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if s.Len() != 0 {
		t.Error("the socket is still there")
	}
}

func TestReasons(t *testing.T) {
	s := socketio.NewServer(socketio.Options{})
	reasons := make(chan string, 1)
	var last atomic.Pointer[socketio.Socket]
	s.OnConnection(func(c *socketio.Socket) {
		last.Store(c)
		c.OnDisconnect(func(d socketio.Disconnection) { reasons <- d.Reason })
	})
	addr := start(t, s)
	for want, do := range map[string]func(*load.Client){
		socketio.ReasonClientDisconnect: func(c *load.Client) { say(t, c, "41") },
		socketio.ReasonTransportClose:   func(c *load.Client) { c.Close() },
		socketio.ReasonParseError:       func(c *load.Client) { say(t, c, "4nonsense") },
		socketio.ReasonServerDisconnect: func(*load.Client) { last.Load().Disconnect(false) },
		engine.ReasonForcedClose:        func(*load.Client) { last.Load().Session().Close() },
	} {
		last.Store(nil)
		c := ws(t, addr)
		for last.Load() == nil {
			time.Sleep(time.Millisecond)
		}
		do(c)
		if got := <-reasons; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestPanicsAreContained(t *testing.T) {
	var logged bytes.Buffer
	s := socketio.NewServer(socketio.Options{Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	s.Of("/broken").Use(func(*socketio.Socket) error { panic("middleware") })
	s.OnConnection(func(c *socketio.Socket) {
		c.On("panic", func(*socketio.Event) { panic("on purpose") })
		c.On("ok", func(e *socketio.Event) { _ = e.Ack("still here") })
		panic("connection")
	})
	c := ws(t, start(t, s))
	say(t, c, `40/broken,`)
	hear(t, c, `44/broken,{"message":"internal error"}`)
	say(t, c, `421["panic"]`)
	say(t, c, `422["ok"]`)
	hear(t, c, `432["still here"]`)
	for _, want := range []string{"on purpose", "middleware", "connection"} {
		if !strings.Contains(logged.String(), want) {
			t.Errorf("%q was not logged", want)
		}
	}
}

func TestLimits(t *testing.T) {
	s := socketio.NewServer(socketio.Options{MaxNamespaces: 2, MaxAttachmentBytes: 10, ConnectTimeout: 200 * time.Millisecond})
	s.OfFunc(func(string, *socketio.Handshake) bool { return true })
	addr := start(t, s)
	c := ws(t, addr)
	say(t, c, "40/a,")
	if m, err := c.Read(); err != nil || !bytes.HasPrefix(m, []byte("40/a,{")) {
		t.Errorf("%q %v", m, err)
	}
	say(t, c, "40/b,")
	hear(t, c, `44/b,{"message":"Invalid namespace"}`)
	say(t, c, "41/a,")
	say(t, c, "40/c,")
	if m, err := c.Read(); err != nil || !bytes.HasPrefix(m, []byte("40/c,{")) {
		t.Errorf("%q %v", m, err)
	}
	if err := c.WriteBinary([]byte("unasked")); err != nil {
		t.Fatal(err)
	}
	if m, err := c.Read(); err == nil {
		t.Errorf("binary out of place: %q", m)
	}
	big := ws(t, addr)
	say(t, big, `452-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`)
	_ = big.WriteBinary([]byte("123456"))
	_ = big.WriteBinary([]byte("123456"))
	if m, err := big.Read(); err == nil {
		t.Errorf("attachments of 12 bytes: %q", m)
	}
	for end := time.Now().Add(5 * time.Second); s.Engine().Len() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("sessions are left")
		}
	}
}

func TestRoomsAndTargets(t *testing.T) {
	s := socketio.NewServer(socketio.Options{})
	sockets := make(chan *socketio.Socket, 3)
	s.OnConnection(func(c *socketio.Socket) { sockets <- c })
	addr := start(t, s)
	var clients []*load.Client
	var ids []string
	for i := range 3 {
		clients = append(clients, ws(t, addr))
		so := <-sockets
		so.Set("n", i)
		ids = append(ids, so.ID())
	}
	_ = s.In(ids[0], ids[1]).SocketsJoin("room", "other")
	for _, c := range []struct {
		to   socketio.BroadcastOperator
		want []int
	}{
		{s.All(), []int{0, 1, 2}},
		{s.To("room", "other"), []int{0, 1}},
		{s.To("room").Except(ids[0]), []int{1}},
		{s.Except("room"), []int{2}},
		{s.To(ids[2]), []int{2}},
		{s.To("nobody"), nil},
	} {
		var got []int
		all, err := c.to.FetchSockets(t.Context())
		for _, r := range all {
			var data struct{ N int }
			if err := r.BindData(&data); err != nil {
				t.Error(err)
			}
			got = append(got, data.N)
		}
		if slices.Sort(got); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%v %v, want %v", got, err, c.want)
		}
	}
	_ = s.To("room").Emit("x")
	hear(t, clients[0], `42["x"]`)
	hear(t, clients[1], `42["x"]`)
	_ = s.In(ids[1]).DisconnectSockets(false)
	hear(t, clients[1], `41`)
	if err := s.ServerSideEmit("x"); err != socketio.ErrNotSupported {
		t.Error(err)
	}
}

// TestMixed lets many clients of all kinds come, talk and go at once. Run with
// -race, it is the test of everything that is shared; afterwards nothing is left.
func TestMixed(t *testing.T) {
	n, rounds := 500, 1
	if testing.Short() {
		n = 100
	}
	s := socketio.NewServer(socketio.Options{})
	var events atomic.Int64
	for _, name := range []string{"/", "/two"} {
		s.Of(name).OnConnection(func(c *socketio.Socket) {
			c.Join("all", "room"+c.ID()[:1])
			c.On("echo", func(e *socketio.Event) { events.Add(1); _ = e.Ack(e.All()) })
			c.On("shout", func(e *socketio.Event) { _ = c.To("room"+c.ID()[:1]).Emit("shouted", e.All()...) })
			c.On("ask", func(e *socketio.Event) {
				_, _ = c.Timeout(time.Millisecond).EmitWithAck(e.Context(), "answer")
			})
			c.On("leave", func(*socketio.Event) { c.Disconnect(true) })
		})
	}
	srv := httptest.NewServer(s)
	addr := strings.TrimPrefix(srv.URL, "http://")
	before := count()
	var wg sync.WaitGroup
	slots := make(chan struct{}, 100)
	for i := range n * rounds {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			connect := load.Dial
			if i%2 == 0 {
				connect = load.Upgrade
			}
			c, err := connect(addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			_ = c.NetConn().SetDeadline(time.Now().Add(30 * time.Second))
			for _, m := range []string{`40/two,`, `42["shout","x"]`, `42["ask"]`, `42/two,["ask"]`} {
				_ = c.Write(m)
			}
			for k := range 5 {
				_ = c.Write(fmt.Sprintf(`42%d["echo",%d]`, k, k))
				for {
					m, err := c.Read()
					if err != nil {
						t.Error(err)
						return
					}
					if string(m) == fmt.Sprintf(`43%d[[%d]]`, k, k) {
						break
					}
				}
			}
			if i%3 == 0 {
				_ = c.Write(`42["leave"]`)
			}
		})
	}
	wg.Wait()
	if got := events.Load(); got != int64(5*n*rounds) {
		t.Errorf("%d events, want %d", got, 5*n*rounds)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	srv.CloseClientConnections()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if now := count(); now.goroutines <= before.goroutines && now.fds <= before.fds && s.Engine().Len() == 0 {
			break
		} else if time.Now().After(end) {
			buf := make([]byte, 1<<20)
			t.Fatalf("left: %+v of %+v, %d sessions\n%s", now, before, s.Engine().Len(), buf[:runtime.Stack(buf, true)])
		}
	}
	srv.Close()
}

type resources struct{ goroutines, fds int }

func count() resources {
	fds, _ := os.ReadDir("/proc/self/fd")
	return resources{runtime.NumGoroutine(), len(fds)}
}
