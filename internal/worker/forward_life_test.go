package worker

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/samedoor/samedoor/internal/forward"
)

// TestOwnerGone: a stranger whose owner is gone is told so in the protocol's
// words, on a connection that goes on; the owner's successor takes strangers again.
func TestOwnerGone(t *testing.T) {
	ways(t, func(t *testing.T, handsOver bool) {
		r, door, owner, _, sid := two(t, doorThat(handsOver))
		own := open(t, door.url)
		warm := dial(t, door.url) // the workers know each other
		warm.write(t, post(sid, "3"))
		warm.read(t)
		l := dial(t, door.url)
		refused := func(when string) {
			t.Helper()
			for range 3 {
				l.write(t, post(sid, "3"))
				if a := l.read(t); a.status != 400 || a.body != unknownSession || a.close {
					t.Errorf("%s: %d %s, closes %v", when, a.status, a.body, a.close)
				}
				l.write(t, post(own, "3"))
				if a := l.read(t); a.status != 200 {
					t.Errorf("%s, then one of the door's: %d %s", when, a.status, a.body)
				}
			}
		}
		owner.stop()
		refused("the owner is gone")
		if err := os.Remove(filepath.Join(r.boot.Dir, "handover-0.sock")); err != nil { // the other went with its listener
			t.Fatal(err)
		}
		refused("and what it listened on")
		successor := r.start(0)
		refused("its successor does not know the session")
		sid = open(t, successor.url)
		for i := range 2 {
			l.write(t, post(sid, "3"))
			if a := l.read(t); a.status != 200 || (a.header.Get(forward.ViaHeader) == "1") != (i == 0 || !handsOver) {
				t.Errorf("the successor's own: %d %s via %q", a.status, a.body, a.header.Get(forward.ViaHeader))
			}
		}
	})
}

// TestOwnerDrains: while an owner ends, every stranger is answered: with what
// it asks for, or told to start over.
func TestOwnerDrains(t *testing.T) {
	for round := range 5 {
		r := newRun(t)
		owner, door := r.start(0), r.start(1)
		sid := open(t, owner.url)
		var served, wrong atomic.Int32
		var begun, clients sync.WaitGroup
		for range 8 {
			begun.Add(1)
			clients.Go(func() {
				began := sync.OnceFunc(begun.Done)
				defer began()
				for refused := 0; refused < 10 && wrong.Load() == 0; {
					l := dial(t, door.url)
					_, _ = l.Write([]byte(post(sid, "3")))
					a, err := l.next()
					l.Close()
					switch {
					case err != nil:
						wrong.Add(1)
						t.Errorf("round %d: %v", round, err)
					case a.status == 200:
						served.Add(1)
					case a.status == 400 && a.body == unknownSession:
						refused++
					case a.status == 400 && strings.Contains(a.body, `"code":3`): // two posts of one session at once end it
						refused++
					default:
						wrong.Add(1)
						t.Errorf("round %d: %d %s", round, a.status, a.body)
					}
					began()
				}
			})
		}
		begun.Wait()
		owner.stop()
		clients.Wait()
	}
}

// TestOwnerBusy: connections that the owner does not take in time are proxied.
func TestOwnerBusy(t *testing.T) {
	r, door, _, _, sid := two(t)
	path := filepath.Join(r.boot.Dir, "handover-0.sock")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	stalled, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"}) // never reads
	if err != nil {
		t.Fatal(err)
	}
	defer stalled.Close()
	long := "Cookie: " + strings.Repeat("c", 20_000)
	for i := 0; ; i++ {
		l := dial(t, door.url)
		l.write(t, post(sid, "3", long))
		_ = l.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		a, err := l.next()
		l.Close()
		if err == nil {
			if a.status != 200 || a.header.Get(forward.ViaHeader) != "1" || i == 0 {
				t.Errorf("connection %d: %d %s", i, a.status, a.body)
			}
			break
		}
		if i > 100 {
			t.Fatal("nothing was proxied")
		}
	}
	l := dial(t, door.url)
	for range 5 {
		l.write(t, post(sid, "3", long))
		if a := l.read(t); a.status != 200 || a.header.Get(forward.ViaHeader) != "1" {
			t.Errorf("%d %s via %s", a.status, a.body, a.header.Get(forward.ViaHeader))
		}
	}
}

// TestForwardedWebSocket: an upgrade is handed over with its connection, and
// nothing stays at the door.
func TestForwardedWebSocket(t *testing.T) {
	ways(t, func(t *testing.T, handsOver bool) {
		_, door, owner, _, sid := two(t, doorThat(handsOver))
		conn, resp, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(door.url, "http")+"/socket.io/?EIO=4&transport=websocket&sid="+sid, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if resp.Header.Get(forward.WorkerHeader) != "0" || resp.Header.Get(forward.ViaHeader) != "1" {
			t.Errorf("%v", resp.Header)
		}
		say := func(packet, want string) {
			t.Helper()
			_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			if err := conn.WriteMessage(websocket.TextMessage, []byte(packet)); err != nil {
				t.Fatal(err)
			}
			if _, b, err := conn.ReadMessage(); err != nil || string(b) != want {
				t.Fatalf("%.40s is answered %.40s, %v", packet, b, err)
			}
		}
		say("2probe", "3probe")
		if err := conn.WriteMessage(websocket.TextMessage, []byte("5")); err != nil {
			t.Fatal(err)
		}
		say(`42/ws,7["echo","x"]`, `43/ws,7["x"]`)
		big := strings.Repeat("y", 500_000)
		say(`42/ws,8["echo","`+big+`"]`, `43/ws,8["`+big+`"]`)
		conn.Close()
		var steps string
		for range 500 {
			steps = ""
			for _, e := range owner.record.Of(sid, 0) {
				if e.Via != nil {
					steps += fmt.Sprint(e.Step, e.Status, " ")
				}
			}
			if strings.Contains(steps, "close") {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if steps != "upgrade101 close101 " {
			t.Errorf("recorded: %s", steps)
		}
		if n := len(door.record.Of(sid, 0)); n != 0 || door.forward.Forwarded() != 1 {
			t.Errorf("the door recorded %d and forwarded %d", n, door.forward.Forwarded())
		}
	})
}

// TestNothingLeft: strangers of all kinds leave neither a goroutine nor a
// descriptor, not even where the owner ends in the midst of it.
func TestNothingLeft(t *testing.T) {
	ways(t, func(t *testing.T, handsOver bool) {
		r := newRun(t)
		door, owner := r.start(1, doorThat(handsOver)), r.start(0)
		sid := open(t, owner.url)
		round := func() {
			var kept []*line
			for i := range 60 {
				l := dial(t, door.url)
				switch i % 6 {
				case 0:
					l.write(t, post(sid, "3"))
					l.read(t)
				case 1:
					l.write(t, post(sid, "3", "Connection: close"))
					l.read(t)
				case 2: // goes in the midst of a body
					l.write(t, post(sid, strings.Repeat("x", 1000))[:300])
				case 3: // goes without its answer
					l.write(t, get("0.nobody"))
				case 4: // stays while the owner goes
					l.write(t, post(sid, "3"))
					l.read(t)
					kept = append(kept, l)
					continue
				case 5: // stays with a poll
					sid := open(t, owner.url)
					l.write(t, get(sid))
					kept = append(kept, l)
					continue
				}
				l.Close()
			}
			owner.stop()
			for _, l := range kept {
				l.Close()
			}
			owner = r.start(0)
			sid = open(t, owner.url)
			l := dial(t, door.url)
			l.write(t, post(sid, "3"))
			if a := l.read(t); a.status != 200 {
				t.Errorf("after the owner was replaced: %d %s", a.status, a.body)
			}
			l.Close()
			door.forward.CloseIdleConnections() // which time would do
		}
		round() // what the workers keep of one another
		goroutines, files := serving(t)
		for range 3 {
			round()
		}
		// The bus in this process comes and goes, too: a few are no leak.
		const few = 5
		var g, f int
		for range 500 {
			if g, f = serving(t); g <= goroutines+few && f <= files+few {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Logf("goroutines %d, then %d; descriptors %d, then %d", goroutines, g, files, f)
		if g > goroutines+few || f > files+few {
			t.Errorf("left behind by 180 strangers: %d goroutines, %d descriptors", g-goroutines, f-files)
		}
	})
}

// serving counts the goroutines that have to do with HTTP or with handing over,
// and the descriptors.
func serving(t *testing.T) (goroutines, files int) {
	t.Helper()
	buf := make([]byte, 4<<20)
	for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(g, "net/http") || strings.Contains(g, "/handover.") {
			goroutines++
		}
	}
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return goroutines, len(open)
}
