package bus

import (
	"context"
	"log/slog"
	"sync"
	"testing"

	"github.com/samedoor/samedoor/internal/bus/bustest"
	"github.com/samedoor/samedoor/internal/logs/logstest"
)

// onEach runs a test on the embedded server and on a real one.
func onEach(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("embedded", func(t *testing.T) { test(t, embedded(t).URL()) })
	t.Run("redis", func(t *testing.T) { test(t, bustest.StartRedis(t).URL()) })
}

func embedded(t testing.TB) *Embedded {
	t.Helper()
	e, err := StartEmbedded()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func open(t testing.TB, url string) *Bus {
	t.Helper()
	return openLogging(t, url, new(logstest.Buffer))
}

func openLogging(t testing.TB, url string, to *logstest.Buffer) *Bus {
	t.Helper()
	b, err := Open(url, slog.New(slog.NewTextHandler(to, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// running runs f until the test ends, or the function returned is called.
func running(t testing.TB, f func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// log of what a feed tells its handler.
type told struct {
	mu       sync.Mutex
	opened   int
	from     Offset
	messages []Message
	roster   map[string]map[string]Member
	cleared  int
	typing   []Typing
	ups      int
	downs    int
}

func (l *told) handler() Handler {
	l.roster = map[string]map[string]Member{}
	set := func(worker string, all []Member) {
		l.roster[worker] = map[string]Member{}
		for _, m := range all {
			l.roster[worker][m.ID] = m
		}
	}
	lock := func(f func()) { l.mu.Lock(); defer l.mu.Unlock(); f() }
	return Handler{
		Opened: func(_ string, from, _ Offset, members map[string][]Member) {
			lock(func() {
				l.opened++
				l.from = from
				clear(l.roster)
				for w, all := range members {
					set(w, all)
				}
			})
		},
		Messages: func(_ string, ms []Message) { lock(func() { l.messages = append(l.messages, ms...) }) },
		Changed: func(_, worker string, joined []Member, left []string) {
			lock(func() {
				if l.roster[worker] == nil {
					set(worker, nil)
				}
				for _, m := range joined {
					l.roster[worker][m.ID] = m
				}
				for _, id := range left {
					delete(l.roster[worker], id)
				}
			})
		},
		Replaced: func(_, worker string, all []Member) { lock(func() { set(worker, all) }) },
		Cleared:  func(string) { lock(func() { l.cleared++ }) },
		Typing:   func(_ string, t Typing) { lock(func() { l.typing = append(l.typing, t) }) },
		State: func(up bool) {
			lock(func() {
				if up {
					l.ups++
				} else {
					l.downs++
				}
			})
		},
	}
}

func (l *told) get(f func() int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return f()
}

func (l *told) isOpen() bool      { return l.get(func() int { return l.opened }) > 0 }
func (l *told) received() int     { return l.get(func() int { return len(l.messages) }) }
func (l *told) size(w string) int { return l.get(func() int { return len(l.roster[w]) }) }
