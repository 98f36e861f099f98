package kernel_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/samedoor/samedoor/strategies"
	"github.com/samedoor/samedoor/strategies/kernel"
)

// rig is the strategy as a master has it.
type rig struct {
	t        *testing.T
	strategy strategies.Strategy
	addr     netip.AddrPort
	slots    [][]*os.File
	front    func()       // runs Front, until end
	end      func() error // ends it, and closes the sockets
	done     chan error

	mu    sync.Mutex
	live  []int
	moved chan struct{}
}

// newRig opens n slots on addr.
func newRig(t *testing.T, addr string, n int) *rig {
	t.Helper()
	r := &rig{t: t, moved: make(chan struct{})}
	r.strategy = kernel.Info.New(strategies.Config{Addr: addr, Hash: strategies.Slot, Live: func() ([]int, <-chan struct{}) {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.live, r.moved
	}})
	r.resize(n)
	ctx, cancel := context.WithCancel(context.Background())
	r.end = sync.OnceValue(func() error {
		cancel()
		if r.done == nil { // Front has not run: it closes what Sockets opened
			return r.strategy.Front(ctx)
		}
		return <-r.done
	})
	r.front = func() {
		r.done = make(chan error, 1)
		go func() { r.done <- r.strategy.Front(ctx) }()
	}
	t.Cleanup(func() {
		if err := r.end(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// resize brings the cluster to n slots, all live but those missing.
func (r *rig) resize(n int, missing ...int) {
	r.t.Helper()
	var live []int
	for slot := range n {
		if !slices.Contains(missing, slot) {
			live = append(live, slot)
		}
	}
	r.setLive(live...)
	var err error
	if r.addr, r.slots, err = r.strategy.Sockets(n); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) setLive(slots ...int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.live = slots
	close(r.moved)
	r.moved = make(chan struct{})
}

// socket is a slot's own, beside its lane.
func (r *rig) socket(slot int) *os.File { return r.slots[slot][1] }

// dial connects to the rig from an address, and returns the client's socket.
func (r *rig) dial(from netip.Addr) (int, error) {
	family, to := unix.AF_INET, r.addr
	if from = from.Unmap(); from.Is6() {
		family = unix.AF_INET6
	}
	if ip := to.Addr(); ip.IsUnspecified() {
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		if from.Is6() {
			ip = netip.IPv6Loopback()
		}
		to = netip.AddrPortFrom(ip, to.Port())
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if from.Is6() { // routed here, but no address of an interface
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1)
	}
	if err = unix.Bind(fd, sockaddr(netip.AddrPortFrom(from, 0))); err == nil {
		err = unix.Connect(fd, sockaddr(to))
	}
	if err == nil {
		_, err = unix.Write(fd, []byte("G")) // what says nothing waits
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("%v to %v: %w", from, to, err)
	}
	return fd, nil
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

// choice returns the slot whose socket gets a connection from that address.
func (r *rig) choice(from netip.Addr) (slot int, err error) {
	client, err := r.dial(from)
	if err != nil {
		return -1, err
	}
	defer unix.Close(client)
	_ = unix.SetsockoptLinger(client, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}) // no TIME_WAIT by the thousand
	polls := make([]unix.PollFd, len(r.slots))
	for i := range r.slots {
		polls[i] = unix.PollFd{Fd: int32(bare(r.socket(i))), Events: unix.POLLIN}
	}
	for {
		n, err := unix.Poll(polls, 10_000)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n != 1 {
			return -1, fmt.Errorf("%v: %d sockets have a connection (%v)", from, n, err)
		}
		break
	}
	slot = slices.IndexFunc(polls, func(p unix.PollFd) bool { return p.Revents != 0 })
	conn, _, err := unix.Accept4(int(polls[slot].Fd), unix.SOCK_CLOEXEC)
	if err != nil {
		return -1, err
	}
	return slot, unix.Close(conn)
}

// bare returns f's descriptor and leaves its mode alone, which Fd would change.
func bare(f *os.File) (fd int) {
	rc, err := f.SyscallConn()
	if err != nil {
		panic(err)
	}
	_ = rc.Control(func(s uintptr) { fd = int(s) })
	return fd
}
