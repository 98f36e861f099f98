package e2e

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/samedoor/samedoor/internal/clustertest"
	"github.com/samedoor/samedoor/internal/eioclient"
)

// A guest is in a room without a browser.
type guest struct {
	name string
	mu   sync.Mutex // over writing
	conn *websocket.Conn
}

// crowd brings n guests into a room, each from an address of its own, over a
// WebSocket. They leave with the test.
func crowd(t *testing.T, c *clustertest.Cluster, room string, n int) []*guest {
	t.Helper()
	guests := make([]*guest, n)
	var readers sync.WaitGroup
	for i := range guests {
		conn, answer, err := eioclient.New(c.URL, address(20+i)).Upgrade("")
		if err != nil || conn == nil {
			t.Fatalf("guest %d: %v, %+v", i, err, answer)
		}
		g := &guest{name: fmt.Sprintf("Guest %d", i), conn: conn}
		guests[i] = g
		auth, _ := json.Marshal(map[string]string{"name": g.name, "room": room})
		g.write(t, "40"+string(auth))
		readers.Go(func() {
			for {
				_, b, err := conn.ReadMessage()
				if err != nil {
					return
				}
				if string(b) == "2" { // a heartbeat
					g.mu.Lock()
					_ = conn.WriteMessage(websocket.TextMessage, []byte("3"))
					g.mu.Unlock()
				}
			}
		})
	}
	t.Cleanup(func() {
		for _, g := range guests {
			_ = g.conn.Close()
		}
		readers.Wait()
	})
	return guests
}

func (g *guest) write(t *testing.T, packet string) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.conn.WriteMessage(websocket.TextMessage, []byte(packet)); err != nil {
		t.Fatal(err)
	}
}

func (g *guest) emit(t *testing.T, event string, args ...any) {
	t.Helper()
	b, err := json.Marshal(append([]any{event}, args...))
	if err != nil {
		t.Fatal(err)
	}
	g.write(t, "42"+string(b))
}

func (g *guest) say(t *testing.T, text string) {
	t.Helper()
	g.emit(t, "chat", map[string]string{"id": rand.Text(), "text": text})
}

// talkAll lets the guests take turns in saying n things, no faster than the pace.
func talkAll(t *testing.T, guests []*guest, n int, pace time.Duration, text func(i int) string) {
	t.Helper()
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for i := range n {
		<-tick.C
		g := guests[i%len(guests)]
		g.emit(t, "typing", map[string]bool{"on": true})
		g.say(t, text(i))
	}
}
