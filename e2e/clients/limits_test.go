package clients

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/samedoor/samedoor/internal/clustertest"
	"github.com/samedoor/samedoor/internal/eioclient"
)

// resident returns a process's memory, in bytes.
func resident(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(b))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// TestUnread: a client that sends and never reads costs its own session, not
// the worker's memory.
func TestUnread(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, "--workers", "1")
	before := resident(t, c.Worker(0))
	client := eioclient.New(c.URL, "")
	sid, _, err := client.Open()
	if err != nil {
		t.Fatal(err)
	}
	if a, err := client.Post(sid, "40"); err != nil || a.Status != http.StatusOK {
		t.Fatal(a, err)
	}
	echo := `420["echo","` + strings.Repeat("x", 900_000) + `"]`
	sent := 0
	for ; sent < 100; sent++ {
		a, err := client.Post(sid, echo)
		if err != nil {
			t.Fatal(err)
		}
		if a.Status != http.StatusOK {
			break
		}
	}
	t.Logf("ended after %d unread answers of 0.9 MB; the worker grew by %d MB", sent, (resident(t, c.Worker(0))-before)>>20)
	if sent == 100 {
		t.Error("90 MB wait for a client that never reads")
	}
	if s := c.Status().Workers[0]; s.Sessions != 0 || s.Restarts != 0 {
		t.Errorf("%d sessions, %d restarts", s.Sessions, s.Restarts)
	}
}

// TestLongSIDs: what a client makes up is not remembered.
func TestLongSIDs(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, "--workers", "1")
	client := eioclient.New(c.URL, "")
	before := resident(t, c.Worker(0))
	for range 2000 {
		if a, err := client.Poll("0." + strings.Repeat("y", 30_000)); err != nil || a.Status != http.StatusBadRequest {
			t.Fatal(a, err)
		}
	}
	grown := (resident(t, c.Worker(0)) - before) >> 20
	t.Logf("2000 sids of 30 KB: the worker grew by %d MB", grown)
	if grown > 50 {
		t.Errorf("the worker grew by %d MB", grown)
	}
}

// TestGhosts: who is gone before being there is not a member for ever.
func TestGhosts(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, "--workers", "1")
	at := "ws" + strings.TrimPrefix(c.URL, "http") + "/socket.io/?EIO=4&transport=websocket"
	for range 1500 {
		conn, _, err := websocket.DefaultDialer.Dial(at, nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.WriteMessage(websocket.TextMessage, []byte("40"))
		_ = conn.NetConn().(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
	var sessions, sockets int
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		w := c.Status().Workers[0]
		if sessions, sockets = w.Sessions, w.Sockets; sessions+sockets == 0 {
			break
		}
	}
	if sessions+sockets > 0 {
		t.Errorf("all have left, but for %d sessions and %d sockets", sessions, sockets)
	}
	conn, _, err := eioclient.New(c.URL, "").Upgrade("")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	welcome, err := eioclient.Ask(conn, "40", `42["welcome"`)
	if err != nil || !strings.Contains(welcome, `"count":1,`) {
		t.Errorf("somebody is left in the lobby: %s, %v", welcome, err)
	}
}

func TestJSONP(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, "--workers", "1")
	a, err := eioclient.New(c.URL, "").Do("GET", "/socket.io/?EIO=4&transport=polling&j=0", "")
	if err != nil || a.Status != http.StatusBadRequest || strings.Contains(a.Body, "sid") {
		t.Errorf("%d %s, %v", a.Status, a.Body, err)
	}
}

// TestLeftBehind: a client that leaves a forwarded poll is no refusal.
func TestLeftBehind(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, "--strategy", "redis", "--workers", "2")
	for range 6 { // half of them forwarded
		client := eioclient.New(c.URL, "")
		sid, _, err := client.Open()
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", c.Addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: %s\r\n\r\n", sid, c.Addr)
		time.Sleep(50 * time.Millisecond) // it is held now
		conn.Close()
	}
	time.Sleep(200 * time.Millisecond)
	forwarded := 0
	for _, w := range c.Status().Workers {
		forwarded += w.Forwarded
		if w.Refused != 0 {
			t.Errorf("slot %d refused %d", w.Slot, w.Refused)
		}
	}
	if forwarded == 0 {
		t.Error("nothing was forwarded: the test proves nothing")
	}
}

// TestSlowBodies: a body that does not come ends the connection, whatever it
// was sent to.
func TestSlowBodies(t *testing.T) {
	if os.Getenv("SOAK") == "" {
		t.Skip("takes half a minute: SOAK=1")
	}
	t.Parallel()
	c := clustertest.Start(t, "--workers", "1")
	var conns []net.Conn
	for _, head := range []string{
		"GET /page HTTP/1.1\r\nContent-Length: 10",
		"GET /healthz HTTP/1.1\r\nTransfer-Encoding: chunked",
		"POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nOrigin: http://elsewhere\r\nContent-Length: 10",
		"OPTIONS /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nContent-Length: 10",
		"GET /socket.io/?EIO=4&transport=polling&sid=0.x HTTP/1.1\r\nContent-Length: 10",
	} {
		conn, err := net.Dial("tcp", c.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "%s\r\nHost: x\r\n\r\n", head)
		conns = append(conns, conn)
	}
	end := time.Now().Add(45 * time.Second)
	for i, conn := range conns {
		_ = conn.SetReadDeadline(end)
		b := make([]byte, 4096)
		for {
			if _, err := conn.Read(b); err != nil {
				if ne, ok := err.(net.Error); ok && ne.Timeout() {
					t.Errorf("request %d is still open after 45 s", i)
				}
				break
			}
		}
	}
}
