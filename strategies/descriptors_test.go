package strategies

import (
	"errors"
	"fmt"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/samedoor/samedoor/internal/clustertest"
)

// A passed is a lane with connections in it, and its receiving end.
type passed struct {
	*receiver
	clients []net.Conn
}

func newPassed(t *testing.T, n int) *passed {
	t.Helper()
	lane, err := NewLane()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(lane.Close)
	f, err := serve(lane.Receiver())
	if err != nil {
		t.Fatal(err)
	}
	l, err := Listen(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	public, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer public.Close()
	p := &passed{receiver: l.(*receiver)}
	for range n {
		client, err := net.Dial("tcp", public.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close() })
		c, err := public.Accept()
		if err != nil {
			t.Fatal(err)
		}
		fd, err := dup(c.(*net.TCPConn))
		if err != nil || !lane.Pass(fd) {
			t.Fatal("not passed", err)
		}
		c.Close()
		p.clients = append(p.clients, client)
	}
	return p
}

// accept returns the next connection, nil if there is no room for it.
func (p *passed) accept(t *testing.T) net.Conn {
	t.Helper()
	c, err := p.Accept()
	if err == nil {
		return c
	}
	var n net.Error
	//lint:ignore SA1019 it is what http.Server asks before it tries again
	if !errors.Is(err, unix.EMFILE) || !errors.As(err, &n) || !n.Temporary() {
		t.Fatal(err)
	}
	return nil
}

// TestOutOfDescriptors: a worker that has no room for a connection leaves it in
// its lane, rather than have the kernel drop it.
func TestOutOfDescriptors(t *testing.T) {
	const all = 20
	p := newPassed(t, all)
	p.room.limit = clustertest.Descriptors(t) + 8 + spare
	for served, most := 0, 0; served < all; {
		var now []net.Conn
		for served+len(now) < all {
			c := p.accept(t)
			if c == nil {
				break
			}
			now = append(now, c)
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
	for _, c := range p.clients {
		answered(t, c, "served")
	}
}

// TestDescriptorsOfOthers: it does not matter who has them all: other sockets
// of the worker, as where clients have an address of their own.
func TestDescriptorsOfOthers(t *testing.T) {
	p := newPassed(t, 2)
	p.accept(t).Close() // while there was room
	var others []int
	for end := clustertest.Descriptors(t) + 100; ; {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if others = append(others, fd); fd >= end {
			p.room.limit = fd + spare
			break
		}
	}
	if c := p.accept(t); c != nil {
		t.Fatal("one was received all the same")
	}
	for _, fd := range others {
		unix.Close(fd)
	}
	c := p.accept(t)
	if c == nil {
		t.Fatal("there is room again")
	}
	fmt.Fprint(c, "served")
	c.Close()
	answered(t, p.clients[1], "served")
}
