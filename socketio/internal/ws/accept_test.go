package ws

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// A taken is an answer whose connection is handed out.
type taken struct {
	http.ResponseWriter
	conn net.Conn
}

func (t taken) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return t.conn, bufio.NewReadWriter(bufio.NewReader(t.conn), bufio.NewWriter(t.conn)), nil
}

// TestAcceptNotRead: a client that does not read does not hold up the server for
// ever. One that does has all the time it wants from then on.
func TestAcceptNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Sec-Websocket-Key"] = []string{"AAAAAAAAAAAAAAAAAAAAAA=="}
		ours, theirs := net.Pipe()
		defer theirs.Close()
		if _, err := Accept(taken{httptest.NewRecorder(), ours}, r, 100); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the answer is not read: %v", err)
		}

		ours, theirs = net.Pipe()
		defer theirs.Close()
		go func() {
			_, _ = http.ReadResponse(bufio.NewReader(theirs), r)
			time.Sleep(time.Hour)
			_, _ = theirs.Write([]byte{0x89, 0x80, 0, 0, 0, 0}) // a ping
		}()
		c, err := Accept(taken{httptest.NewRecorder(), ours}, r, 100)
		if err != nil {
			t.Fatal(err)
		}
		if op, _, err := c.Next(); op != Ping || err != nil {
			t.Errorf("an hour later: %v, %v", op, err)
		}
	})
}
