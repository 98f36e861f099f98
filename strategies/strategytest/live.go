package strategytest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/samedoor/samedoor/internal/eioclient"
)

// A tally counts what happens to clients.
type tally struct {
	mu sync.Mutex
	n  map[string]int
}

func newTally() *tally { return &tally{n: map[string]int{}} }

func (t *tally) add(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n[what]++
}

func (t *tally) of(what string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n[what]
}

func (t *tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []string
	for _, k := range slices.Sorted(maps.Keys(t.n)) {
		all = append(all, fmt.Sprintf("%s %d", k, t.n[k]))
	}
	return strings.Join(all, ", ")
}

// failed counts an error.
func (t *tally) failed(step string, err error) {
	if errors.Is(err, syscall.ECONNREFUSED) {
		t.add("refused")
		return
	}
	t.add(step + " cut")
}

// A live client stays connected as npm's does: when its session ends, whoever
// ended it, it begins another.
type live struct {
	*eioclient.Client
	tally  *tally
	i      int
	ctx    context.Context
	echoes atomic.Int64
}

// again is the time between a session's end and the next, and between echoes.
const again = 150 * time.Millisecond

func start(t *testing.T, tally *tally, at string, i int) *live {
	ctx, cancel := context.WithCancel(context.Background())
	l := &live{Client: eioclient.New(at, from(i%250)).WithContext(ctx), tally: tally, i: i, ctx: ctx}
	if i%4 == 1 {
		l.KeepAlive()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for l.ctx.Err() == nil {
			if i%2 == 0 {
				l.websocket()
			} else {
				l.polling()
			}
			l.wait()
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return l
}

func (l *live) wait() {
	select {
	case <-time.After(again):
	case <-l.ctx.Done():
	}
}

// ended tells whether a request failed, and counts it unless the client stops.
// told: the client had been told to leave before it asked.
func (l *live) ended(step string, a eioclient.Answer, err error, told bool) bool {
	switch {
	case l.ctx.Err() != nil:
		return true
	case err != nil:
		l.tally.failed(step, err)
		return true
	case a.Status == 400 && !told:
		l.tally.add("400 while live")
		return true
	case a.Status >= 300:
		l.tally.add(fmt.Sprintf("%s %d", step, a.Status))
		return true
	}
	return false
}

// polling is one session: a poll is always under way, echoes go by POST.
func (l *live) polling() {
	sid, a, err := l.Open()
	if l.ended("open", a, err, true) {
		return
	}
	var told, over atomic.Bool
	var echoed atomic.Int64 // how many came back, after the join
	echoed.Store(-1)
	var posts sync.WaitGroup
	post := func(packets string) {
		was := told.Load()
		a, err := l.Post(sid, packets)
		if l.ended("post", a, err, was) {
			over.Store(true)
		}
	}
	posts.Go(func() {
		post("40")
		for n := int64(1); !over.Load() && !told.Load() && l.ctx.Err() == nil; l.wait() {
			if echoed.Load() == n-1 {
				post(fmt.Sprintf(`42%d["echo",%d]`, n, n))
				n++
			}
		}
	})
	defer posts.Wait()
	for !over.Load() && l.ctx.Err() == nil {
		a, err := l.Poll(sid)
		if l.ended("poll", a, err, false) {
			over.Store(true)
			return
		}
		for _, p := range strings.Split(a.Body, "\x1e") {
			var n int64
			switch {
			case p == "1":
				told.Store(true)
				l.tally.add("told to leave")
				return
			case p == "2":
				posts.Go(func() { post("3") })
			case strings.HasPrefix(p, "40"):
				echoed.Store(0)
			case strings.HasPrefix(p, "43"):
				if _, err := fmt.Sscanf(p, "43%d[", &n); err == nil {
					echoed.Store(n)
					l.echoes.Add(1)
				}
			}
		}
		if l.i%8 == 3 { // slow between polls, not in what it sends
			l.wait()
			l.wait()
			l.wait()
		}
	}
}

// websocket is one session that is upgraded.
func (l *live) websocket() {
	_, conn, steps, err := l.Handshake()
	if conn == nil {
		last := steps[len(steps)-1]
		switch {
		case last.Body == "1" || strings.HasSuffix(last.Body, "\x1e1"):
			l.tally.add("told to leave")
		case last.Name == "upgrade" && last.Status == 101:
			l.tally.add("upgrade ended halfway")
		default:
			l.ended(last.Name, last.Answer, err, last.Name == "open")
		}
		return
	}
	defer conn.Close()
	for n := 1; l.ctx.Err() == nil; n++ {
		if err = conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `42%d["echo",%d]`, n, n)); err == nil {
			err = l.await(conn, fmt.Sprintf("43%d[%d]", n, n))
		}
		if err != nil {
			break
		}
		l.echoes.Add(1)
		l.wait()
	}
	switch {
	case l.ctx.Err() != nil:
	case websocket.IsCloseError(err, websocket.CloseGoingAway, websocket.CloseNormalClosure):
		l.tally.add("told to leave")
	default:
		l.tally.failed("websocket", err)
	}
}

// await reads until a packet comes.
func (l *live) await(conn *websocket.Conn, packet string) error {
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	for {
		_, b, err := conn.ReadMessage()
		if err != nil {
			return err
		}
		switch string(b) {
		case packet:
			return nil
		case "2":
			if err := conn.WriteMessage(websocket.TextMessage, []byte("3")); err != nil {
				return err
			}
		}
	}
}
