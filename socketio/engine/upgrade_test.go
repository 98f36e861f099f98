package engine

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

func TestUpgrade(t *testing.T) {
	f := serve(t, Options{})
	sid := f.open()
	s, _ := f.Session(sid)
	polled := make(chan string)
	go func() { _, body := f.poll(sid); polled <- body }()
	for !s.Writable() {
		time.Sleep(time.Millisecond)
	}
	c := f.dial(sid)
	f.say(c, "2probe")
	f.hear(c, "3probe")
	if body := <-polled; body != "6" {
		t.Errorf("the poll under way: %q", body)
	}
	if _, body := f.poll(sid); body != "6" {
		t.Errorf("a poll after the probe: %q", body)
	}
	_ = s.Send(Text("between")) // fetched by neither yet
	f.say(c, "5")
	f.hear(c, "4between")
	second := f.dial(sid)
	f.ended(second, websocket.CloseNormalClosure)
	f.say(c, "4still here")
	f.hear(c, "4still here")
	if s.Transport() != WebSocket {
		t.Error(s.Transport())
	}
}

func TestUpgradeFails(t *testing.T) {
	f := serve(t, Options{UpgradeTimeout: 200 * time.Millisecond})
	for _, how := range []string{"wrong probe", "wrong end", "cut", "silence"} {
		sid := f.open()
		c := f.dial(sid)
		switch how {
		case "wrong probe":
			f.say(c, "2wrong")
		case "wrong end":
			f.say(c, "2probe")
			f.hear(c, "3probe")
			f.say(c, "4x")
		case "cut":
			f.say(c, "2probe")
			c.Close()
		}
		_, _, _ = c.ReadMessage()
		f.post(sid, "4polling goes on")
		for range 5 {
			if _, body := f.poll(sid); body == "4polling goes on" {
				break
			} else if body != "6" {
				t.Errorf("%s: %q", how, body)
			}
		}
		time.Sleep(20 * time.Millisecond)
		c = f.upgrade(sid) // and another try succeeds
		f.say(c, "4x")
		f.hear(c, "4x")
	}
}

// TestUpgradeUnderTraffic sends numbers both ways while sessions are upgraded.
func TestUpgradeUnderTraffic(t *testing.T) {
	f := serve(t, Options{})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			sid := f.open()
			s, _ := f.Session(sid)
			const n = 300
			go func() {
				for i := range n {
					_ = s.Send(Text(fmt.Sprint(i)))
					if i%10 == 0 {
						time.Sleep(time.Millisecond)
					}
				}
			}()
			var got []string
			probed := make(chan *websocket.Conn)
			go func() {
				time.Sleep(5 * time.Millisecond)
				c := f.dial(sid)
				f.say(c, "2probe")
				f.hear(c, "3probe")
				probed <- c
			}()
			var c *websocket.Conn
			for c == nil { // polls until the probe is answered, as clients do
				_, body := f.poll(sid)
				got = append(got, strings.Split(body, "\x1e")...)
				select {
				case c = <-probed:
				default:
				}
			}
			f.say(c, "5")
			got = slices.DeleteFunc(got, func(p string) bool { return p == "6" })
			for len(got) < n {
				_, m, err := c.ReadMessage()
				if err != nil {
					t.Errorf("after %d: %v", len(got), err)
					return
				}
				got = append(got, string(m))
			}
			for i, p := range got {
				if p != fmt.Sprint("4", i) {
					t.Errorf("packet %d is %q", i, p)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestCloseDuringUpgrade closes sessions whose clients have paused polling.
func TestCloseDuringUpgrade(t *testing.T) {
	f := serve(t, Options{})
	sid := f.open()
	s, _ := f.Session(sid)
	c := f.dial(sid)
	f.say(c, "2probe")
	f.hear(c, "3probe")
	_ = s.Send(Text("last"))
	s.Close()
	f.say(c, "5")
	f.hear(c, "4last")
	f.ended(c, websocket.CloseNormalClosure)
	for end := time.Now().Add(5 * time.Second); f.Has(sid) && time.Now().Before(end); time.Sleep(time.Millisecond) {
		// it is forgotten once the close frame has left
	}
	if f.Has(sid) || f.reason(sid) != ReasonForcedClose {
		t.Error(f.reason(sid))
	}

	sid = f.open() // and one whose client polls on
	s, _ = f.Session(sid)
	c = f.dial(sid)
	f.say(c, "2probe")
	f.hear(c, "3probe")
	s.Close()
	if _, body := f.poll(sid); body != "1" {
		t.Errorf("poll: %q", body)
	}
	if _, _, err := c.ReadMessage(); err == nil || f.Len() > 0 {
		t.Error("the probe goes on")
	}
}
