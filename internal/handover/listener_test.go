package handover

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/samedoor/samedoor/internal/clustertest"
)

// TestNoRoom: a connection that comes while this process has no descriptor for
// it waits in its lane, where the kernel would drop it.
func TestNoRoom(t *testing.T) {
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	low := was
	low.Cur = uint64(clustertest.Descriptors(t) + 100)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &was)

	dir, err := os.MkdirTemp("", "samedoor-test-") // t.TempDir may be too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	l, err := Listen(filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var s Sender
	defer s.Close()
	to, err := s.To(filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	public, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer public.Close()
	var clients, taken []net.Conn
	for range 2 {
		client, err := net.Dial("tcp", public.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		c, err := public.Accept()
		if err != nil {
			t.Fatal(err)
		}
		clients, taken = append(clients, client), append(taken, c)
	}
	pass := func(i int) {
		t.Helper()
		if err := to.Send(newConn(taken[i], Message{Peer: "192.0.2.1:1", Client: "192.0.2.1:1", Read: []byte("GET / HTTP/1.1\r\n\r\n")})); err != nil {
			t.Fatal(err)
		}
	}
	receive := func() {
		t.Helper()
		got := make(chan net.Conn, 1)
		go func() {
			if c, err := l.Accept(); err == nil {
				got <- c
			}
		}()
		select {
		case c := <-got:
			c.(*Conn).Claim()
			_, _ = io.WriteString(c, "served")
			c.Close()
		case <-time.After(20 * time.Second):
			t.Fatal("a connection was lost")
		}
	}
	pass(0)
	receive() // and waits for the next

	var others []int
	for {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			break
		}
		others = append(others, fd)
	}
	pass(1)
	time.Sleep(50 * time.Millisecond) // it could be dropped
	for _, fd := range others {
		unix.Close(fd)
	}
	receive()
	for _, c := range clients {
		if b, err := io.ReadAll(c); string(b) != "served" {
			t.Errorf("%q %v", b, err)
		}
	}
}
