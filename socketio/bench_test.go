package socketio_test

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/zishang520/socket.io/servers/socket/v3"

	"github.com/samedoor/samedoor/socketio"
	"github.com/samedoor/samedoor/socketio/internal/load"
)

// The benchmarks compare servers: this one, the library that came before it, a
// floor (net/http and gorilla/websocket without any state of the protocol), and
// Node's where NODE_SOCKETIO names a node_modules folder with socket.io in it.
// Each runs in a process of its own; "server-µs/op" is its CPU time, which on a
// shared machine says more than the clock.

const serveEnv = "SOCKETIO_BENCH_SERVE"

func TestMain(m *testing.M) {
	if kind := os.Getenv(serveEnv); kind != "" {
		serve(kind)
		return
	}
	os.Exit(m.Run())
}

func serve(kind string) {
	mux := http.NewServeMux()
	mux.HandleFunc("/usage", load.UsageHandler)
	mux.Handle("/socket.io/", map[string]func() http.Handler{
		"native": nativeServer, "library": libraryServer, "floor": floorServer,
	}[kind]())
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile) // for go tool pprof, while a benchmark runs
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening", ln.Addr())
	log.Fatal(http.Serve(ln, mux))
}

func nativeServer() http.Handler {
	s := socketio.NewServer(socketio.Options{})
	s.OnConnection(func(c *socketio.Socket) {
		c.On("echo", func(e *socketio.Event) { _ = e.Ack(e.All()) })
		c.On("all", func(e *socketio.Event) { _ = s.Emit("news", e.All()...) })
	})
	return s
}

func libraryServer() http.Handler {
	log.SetOutput(io.Discard)
	s := socket.NewServer(nil, nil)
	_ = s.On("connection", func(args ...any) {
		c := args[0].(*socket.Socket)
		_ = c.On("echo", func(args ...any) {
			args[len(args)-1].(socket.Ack)([]any{args[:len(args)-1]}, nil)
		})
		_ = c.On("all", func(args ...any) { s.Emit("news", args...) })
	})
	return s.ServeHandler(nil)
}

func floorServer() http.Handler {
	type session struct{ out chan string } // what polls are answered with
	var mu sync.Mutex
	sessions := map[string]*session{}
	all := map[*websocket.Conn]struct{}{}
	up := websocket.Upgrader{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		sid := q.Get("sid")
		mu.Lock()
		s := sessions[sid]
		mu.Unlock()
		switch {
		case q.Get("transport") == "websocket":
			c, err := up.Upgrade(w, r, nil)
			if err != nil {
				return
			}
			if s == nil {
				_ = c.WriteMessage(1, []byte(`0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`))
			}
			mu.Lock()
			all[c] = struct{}{}
			mu.Unlock()
			floorRead(c, s != nil, func() { s.out <- "6" }, func(b []byte) {
				p, _ := websocket.NewPreparedMessage(1, b)
				mu.Lock()
				defer mu.Unlock()
				for c := range all {
					_ = c.WritePreparedMessage(p)
				}
			})
			mu.Lock()
			delete(all, c)
			delete(sessions, sid)
			mu.Unlock()
			c.Close()
		case s == nil:
			sid = fmt.Sprintf("%020d", time.Now().UnixNano())
			s = &session{make(chan string, 2)}
			mu.Lock()
			sessions[sid] = s
			mu.Unlock()
			fmt.Fprintf(w, `0{"sid":"%s","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`, sid)
		case r.Method == http.MethodPost:
			_, _ = io.ReadAll(r.Body)
			_, _ = w.Write([]byte("ok"))
			s.out <- `40{"sid":"abcdefghijklmnopqrst"}`
		default:
			_, _ = io.WriteString(w, <-s.out)
		}
	})
}

func floorRead(c *websocket.Conn, probing bool, probed func(), broadcast func([]byte)) {
	for {
		_, m, err := c.ReadMessage()
		if err != nil {
			return
		}
		switch {
		case probing && string(m) == "2probe":
			_ = c.WriteMessage(1, []byte("3probe"))
			probed()
		case string(m) == "40":
			_ = c.WriteMessage(1, []byte(`40{"sid":"abcdefghijklmnopqrst"}`))
		case bytes.HasPrefix(m, []byte(`42["all"`)):
			broadcast([]byte(`42["news"` + string(m[8:])))
		case bytes.HasPrefix(m, []byte("42")):
			id, args, _ := bytes.Cut(m[2:], []byte(`["echo",`))
			_ = c.WriteMessage(1, fmt.Appendf(nil, "43%s[[%s]", id, args))
		}
	}
}

func benchServers(b *testing.B, f func(b *testing.B, p *load.Process)) {
	for _, kind := range []string{"native", "library", "floor", "node"} {
		b.Run(kind, func(b *testing.B) {
			f(b, startServer(b, kind))
		})
	}
}

func startServer(b testing.TB, kind string) *load.Process {
	if kind == "node" {
		modules := os.Getenv("NODE_SOCKETIO")
		if modules == "" {
			b.Skip("NODE_SOCKETIO is not set")
		}
		return load.Start(b, exec.Command("node", "--expose-gc", "internal/nodebench/server.cjs", modules))
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serveEnv+"="+kind)
	return load.Start(b, cmd)
}

// measure runs n operations between two looks at the server's CPU time.
func measure(b *testing.B, p *load.Process, n int, f func()) {
	before := p.Usage(b, false)
	b.ResetTimer()
	f()
	b.StopTimer()
	cpu := p.Usage(b, false).CPU - before.CPU
	b.ReportMetric(float64(cpu)/1e3/float64(n), "server-µs/op")
	b.ReportMetric(0, "allocs/op")
	b.ReportMetric(0, "B/op")
}

func BenchmarkConnect(b *testing.B)   { benchConnect(b, load.Upgrade) }
func BenchmarkWSConnect(b *testing.B) { benchConnect(b, load.Dial) }

// benchConnect connects with four clients at a time, and tells how long it took.
func benchConnect(b *testing.B, connect func(string) (*load.Client, error)) {
	benchServers(b, func(b *testing.B, p *load.Process) {
		took := make([]time.Duration, b.N)
		failed := 0
		var mu sync.Mutex
		measure(b, p, b.N, func() {
			var wg sync.WaitGroup
			next := make(chan int)
			for range 4 {
				wg.Go(func() {
					for i := range next {
						began := time.Now()
						c, err := connect(p.Addr)
						took[i] = time.Since(began)
						if err != nil {
							mu.Lock()
							failed++
							mu.Unlock()
							continue
						}
						c.Close()
					}
				})
			}
			for i := range b.N {
				next <- i
			}
			close(next)
			wg.Wait()
		})
		slices.Sort(took)
		b.ReportMetric(float64(took[b.N/2].Microseconds())/1e3, "p50-ms")
		b.ReportMetric(float64(took[b.N*99/100].Microseconds())/1e3, "p99-ms")
		b.ReportMetric(float64(failed), "failed")
	})
}

// BenchmarkEcho measures events with acknowledgements: one at a time on each of
// 50 connections.
func BenchmarkEcho(b *testing.B) {
	benchServers(b, func(b *testing.B, p *load.Process) {
		clients := dial(b, p, 50)
		measure(b, p, b.N, func() {
			var wg sync.WaitGroup
			for k, c := range clients {
				wg.Go(func() {
					for i := k; i < b.N; i += len(clients) {
						if err := c.Write(`4217["echo",{"n":1,"text":"hello there"}]`); err != nil {
							b.Error(err)
							return
						}
						m, err := c.Read()
						if want := `4317[[{"n":1,"text":"hello there"}]]`; err != nil || string(m) != want {
							b.Errorf("%q %v", m, err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	})
}

// BenchmarkBroadcast measures one delivery of events to all of 200 connections.
func BenchmarkBroadcast(b *testing.B) {
	const n = 200
	benchServers(b, func(b *testing.B, p *load.Process) {
		clients := dial(b, p, n)
		rounds := (b.N + n - 1) / n
		got := make(chan struct{}, n)
		for _, c := range clients {
			go func() {
				for range rounds {
					if _, err := c.Read(); err != nil {
						b.Error(err)
					}
					got <- struct{}{}
				}
			}()
		}
		measure(b, p, rounds*n, func() {
			for range rounds {
				if err := clients[0].Write(`42["all",{"id":"0123456789","name":"somebody","text":"a message of a usual length, say"}]`); err != nil {
					b.Fatal(err)
				}
				for range n {
					<-got
				}
			}
		})
	})
}

// BenchmarkIdle measures the memory of an idle, upgraded connection.
func BenchmarkIdle(b *testing.B) {
	benchServers(b, func(b *testing.B, p *load.Process) {
		const n = 2000
		warm := dial(b, p, 100)
		before := p.Usage(b, true)
		clients := make([]*load.Client, n)
		var wg sync.WaitGroup
		for k := range 50 { // Node and the library need 100 ms for each
			wg.Go(func() {
				for i := k; i < n; i += 50 {
					c, err := load.Upgrade(p.Addr)
					if err != nil {
						c, err = load.Upgrade(p.Addr)
					}
					if err != nil {
						b.Error(err)
						return
					}
					c.ClosePoll()
					clients[i] = c
				}
			})
		}
		wg.Wait()
		time.Sleep(200 * time.Millisecond)
		after := p.Usage(b, true)
		b.ReportMetric(float64(after.RSS-before.RSS)/1024/n, "KiB/conn")
		b.ReportMetric(float64(after.Goroutines-before.Goroutines)/n, "goroutines/conn")
		for _, c := range append(clients, warm...) {
			if c != nil {
				c.Close()
			}
		}
	})
}

func dial(b *testing.B, p *load.Process, n int) []*load.Client {
	clients := make([]*load.Client, n)
	for i := range clients {
		c, err := load.Dial(p.Addr)
		if err != nil { // the library leaves some CONNECTs without an answer
			c, err = load.Dial(p.Addr)
		}
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(c.Close)
		clients[i] = c
	}
	return clients
}
