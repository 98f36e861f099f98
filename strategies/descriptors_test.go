package strategies

import (
	"errors"
	"fmt"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/samedoor/samedoor/internal/clustertest"
)

// TestOutOfDescriptors: a worker that has no room for a connection leaves it in
// its lane, rather than have the kernel drop it.
func TestOutOfDescriptors(t *testing.T) {
	lane, err := NewLane()
	if err != nil {
		t.Fatal(err)
	}
	defer lane.Close()
	f, err := serve(lane.Receiver())
	if err != nil {
		t.Fatal(err)
	}
	l, err := Listen(f)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	public, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer public.Close()
	const all = 20
	var clients [all]net.Conn
	for i := range clients {
		if clients[i], err = net.Dial("tcp", public.Addr().String()); err != nil {
			t.Fatal(err)
		}
		defer clients[i].Close()
		c, err := public.Accept()
		if err != nil {
			t.Fatal(err)
		}
		fd, err := dup(c.(*net.TCPConn))
		if err != nil || !lane.Pass(fd) {
			t.Fatal("not passed", err)
		}
		c.Close()
	}

	l.(*receiver).room.limit = clustertest.Descriptors(t) + 8 + spare
	for served, most := 0, 0; served < all; {
		var now []net.Conn
		for served+len(now) < all {
			c, err := l.Accept()
			if err == nil {
				now = append(now, c)
				continue
			}
			var n net.Error
			//lint:ignore SA1019 it is what http.Server asks before it tries again
			if !errors.Is(err, unix.EMFILE) || !errors.As(err, &n) || !n.Temporary() {
				t.Fatal(err)
			}
			break
		}
		if most = max(most, len(now)); len(now) == 0 || most == all {
			t.Fatalf("%d at once, after %d others", len(now), served)
		}
		for _, c := range now {
			fmt.Fprint(c, "served")
			c.Close()
		}
		served += len(now)
	}
	for _, c := range clients {
		answered(t, c, "served")
	}
}
