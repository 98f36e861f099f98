package chat

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/bus"
	"github.com/samedoor/samedoor/internal/clustertest"
)

// recorder is a client that keeps what it is told, as the wire would have it.
type recorder struct {
	id string

	mu     sync.Mutex
	events []recorded
}

type recorded struct {
	name string
	data json.RawMessage
	at   time.Time
}

func (r *recorder) ID() string { return r.id }

func (r *recorder) Emit(event string, args ...any) {
	if len(args) != 1 {
		panic(fmt.Sprintf("%s with %d arguments", event, len(args)))
	}
	data, err := json.Marshal(args[0])
	if err != nil {
		panic(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, recorded{event, data, time.Now()})
}

// told returns all events of one name, decoded.
func told[T any](r *recorder, name string) []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := []T{}
	for _, e := range r.events {
		if e.name == name {
			var v T
			if err := json.Unmarshal(e.data, &v); err != nil {
				panic(err)
			}
			all = append(all, v)
		}
	}
	return all
}

// seen are the messages a client has been shown, history first, in order.
func (r *recorder) seen() []bus.Message {
	var all []bus.Message
	for _, w := range told[welcome](r, "welcome") {
		all = append(all, w.History...)
	}
	return append(all, told[bus.Message](r, "chat")...)
}

func (r *recorder) welcome(t testing.TB) welcome {
	t.Helper()
	eventually(t, "welcome", func() bool { return len(told[welcome](r, "welcome")) > 0 })
	return told[welcome](r, "welcome")[0]
}

// eventually polls: what is tested happens in other goroutines.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	clustertest.Until(t, 10*time.Second, what, ok)
}

func embedded(t testing.TB) *bus.Embedded {
	t.Helper()
	e, err := bus.StartEmbedded()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func open(t testing.TB, url string) *bus.Bus {
	t.Helper()
	b, err := bus.Open(url, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// testLog is silent unless asked: goroutines of the client library may log
// after a test has ended.
func testLog(testing.TB) *slog.Logger {
	if os.Getenv("CHAT_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.DiscardHandler)
}

// worker is a hub that runs and is registered.
type worker struct {
	*Hub
	bus  *bus.Bus
	stop func() // ends it as SIGTERM does, and waits
	kill func() // ends it as SIGKILL does, and waits
}

func start(t testing.TB, url, id string, slot int, set ...func(*Options)) *worker {
	t.Helper()
	return startHub(t, url, id, slot, func(*Hub) {}, set...)
}

// startImpatient starts a worker that looks for dead ones all the time.
func startImpatient(t testing.TB, url, id string, slot int) *worker {
	t.Helper()
	return startHub(t, url, id, slot, func(h *Hub) { h.prune.every, h.prune.grace = 50*time.Millisecond, 200*time.Millisecond })
}

func startHub(t testing.TB, url, id string, slot int, change func(*Hub), set ...func(*Options)) *worker {
	t.Helper()
	b := open(t, url)
	o := Options{Bus: b, WorkerID: id, Slot: slot, Strategy: "master", Log: testLog(t)}
	for _, f := range set {
		f(&o)
	}
	w := &worker{Hub: NewHub(o), bus: b}
	change(w.Hub)
	ctx, cancel := context.WithCancel(context.Background())
	leased, release := context.WithCancel(context.Background())
	var both sync.WaitGroup
	both.Go(func() {
		if err := b.Register(leased, bus.Worker{ID: id, Slot: slot}); err != nil {
			t.Error(err)
		}
	})
	both.Go(func() {
		if err := w.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	var once sync.Once
	w.stop = func() { once.Do(func() { release(); cancel(); both.Wait() }) }
	w.kill = func() {
		w.crashed = true
		w.stop()
	}
	t.Cleanup(w.stop)
	return w
}

var clients struct {
	sync.Mutex
	n int
}

// join brings a client in and waits for its welcome.
func (w *worker) join(t testing.TB, auth any) (*recorder, *Member) {
	t.Helper()
	r, m := w.enter(auth)
	r.welcome(t)
	return r, m
}

func (w *worker) enter(auth any) (*recorder, *Member) {
	clients.Lock()
	clients.n++
	r := &recorder{id: fmt.Sprint("socket", clients.n)}
	clients.Unlock()
	return r, w.Join(r, auth)
}

// say sends a message and returns what it was answered.
func say(m *Member, id, text string) answer {
	return ask(m, map[string]any{"id": id, "text": text})
}

func ask(m *Member, args ...any) answer {
	acks := make(chan any, 2)
	m.Chat(args, func(a any) { acks <- a })
	select {
	case a := <-acks:
		return a.(answer)
	case <-time.After(5 * time.Second):
		return answer{Error: "no ack within 5 s"}
	}
}

func auth(pairs ...string) map[string]any {
	m := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}
