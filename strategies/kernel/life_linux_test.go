package kernel_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/samedoor/samedoor/internal/clustertest"
	"github.com/samedoor/samedoor/strategies"
	"github.com/samedoor/samedoor/strategies/kernel"
)

// work serves a slot as its worker does: its own socket, and its lane.
func (r *rig) work(slot int) (stop func()) {
	r.t.Helper()
	var all []net.Listener
	for i, f := range r.slots[slot] {
		fd, err := unix.FcntlInt(uintptr(bare(f)), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			r.t.Fatal(err)
		}
		l, err := strategies.Listen(os.NewFile(uintptr(fd), "inherited"))
		if err != nil {
			r.t.Fatal(err)
		}
		all = append(all, l)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				fmt.Fprintf(c, "%s %d for %v", []string{"lane", "slot"}[i], slot, c.RemoteAddr())
				c.Close()
			}
		}()
	}
	stop = func() {
		for _, l := range all {
			l.Close()
		}
	}
	r.t.Cleanup(stop)
	return stop
}

// connect connects, and leaves the connection open.
func (r *rig) connect(from netip.Addr) int {
	r.t.Helper()
	fd, err := r.dial(from)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { unix.Close(fd) })
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10})
	return fd
}

// answer returns what the worker says: `slot 2 for 127.0.9.1`, or lane where
// the connection was passed to it.
func (r *rig) answer(fd int) string {
	r.t.Helper()
	b := make([]byte, 100)
	n, err := unix.Read(fd, b)
	for err == unix.EINTR { // a signal ends a read that has a time limit
		n, err = unix.Read(fd, b)
	}
	if err != nil || n == 0 {
		r.t.Fatalf("a connection was lost: %d, %v", n, err)
	}
	return string(b[:strings.LastIndexByte(string(b[:n]), ':')])
}

// reaches wants a connection from there to be served by that slot. how is slot,
// lane or, for either, empty.
func (r *rig) reaches(fd int, from netip.Addr, how string, slot int) {
	r.t.Helper()
	got, want := r.answer(fd), fmt.Sprintf("%s %d for %v", how, slot, from)
	if got != want && (how != "" || !strings.HasSuffix(got, want)) {
		r.t.Errorf("got %q, want %q", got, want)
	}
}

// until asks from an address until it reaches that slot by itself.
func (r *rig) until(from netip.Addr, slot int) {
	r.t.Helper()
	want := fmt.Sprintf("slot %d for %v", slot, from)
	for end := time.Now().Add(10 * time.Second); r.answer(r.connect(from)) != want; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("%v does not reach %d", from, slot)
		}
	}
}

// sources returns addresses, and what slot each belongs to.
func sources(n int, live ...int) ([]netip.Addr, []int) {
	var all []netip.Addr
	var slots []int
	for i := range n {
		a := netip.AddrFrom4([4]byte{127, 0, 9, byte(i)})
		all, slots = append(all, a), append(slots, strategies.Slot(a, live))
	}
	return all, slots
}

// TestWaits: what comes while a slot has no worker waits for the next one.
func TestWaits(t *testing.T) {
	r := newRig(t, "127.0.0.1:0", 2)
	r.front()
	from, home := sources(20, 0, 1)
	r.work(0)()
	var waiting []int
	for _, a := range from {
		waiting = append(waiting, r.connect(a))
	}
	r.work(0)
	r.work(1)
	for i, fd := range waiting {
		r.reaches(fd, from[i], "slot", home[i])
	}
}

// TestGivenUp: connections that wait for a slot that is given up are passed to
// the slots that stay; so are clients that come later, by the kernel.
func TestGivenUp(t *testing.T) {
	r := newRig(t, "127.0.0.1:0", 3)
	r.front()
	r.work(0)
	r.work(2)
	from, before := sources(60, 0, 1, 2)
	_, after := sources(60, 0, 2)
	one := slices.Index(before, 1) // a client of slot 1
	var waiting []int
	for _, a := range from {
		waiting = append(waiting, r.connect(a))
	}
	r.setLive(0, 2)
	for i, fd := range waiting {
		if before[i] == 1 {
			r.reaches(fd, from[i], "lane", after[i])
		} else {
			r.reaches(fd, from[i], "slot", before[i])
		}
	}
	r.until(from[one], after[one])
	for i, a := range from {
		r.reaches(r.connect(a), a, "slot", after[i])
	}
	r.work(1)
	r.setLive(0, 1, 2) // should it come back, its own worker accepts again
	r.until(from[one], 1)
	for i, a := range from {
		r.reaches(r.connect(a), a, "", before[i]) // the last may be passed yet
	}
}

// TestFewer: a cluster that shrinks loses no connection, whether it waits for a
// slot that goes or comes meanwhile. It can grow again.
func TestFewer(t *testing.T) {
	r := newRig(t, "127.0.0.1:0", 4)
	r.front()
	from, _ := sources(60, 0, 1, 2, 3)
	_, after := sources(60, 0, 1)
	var waiting []int
	for _, a := range from {
		waiting = append(waiting, r.connect(a))
	}
	r.resize(2)
	for _, a := range from {
		waiting = append(waiting, r.connect(a))
	}
	r.work(0)
	r.work(1)
	for _, fd := range waiting {
		r.answer(fd)
	}
	for i, a := range from {
		r.reaches(r.connect(a), a, "slot", after[i])
	}
	r.resize(5)
	for slot := 2; slot < 5; slot++ {
		r.work(slot)
	}
	for _, a := range from {
		r.reaches(r.connect(a), a, "", strategies.Slot(a, r.live))
	}
}

// TestInUse: whoever is on the address is met with an error, and never joined.
func TestInUse(t *testing.T) {
	orphan := newRig(t, "127.0.0.1:0", 2)
	client := orphan.connect(netip.MustParseAddr("127.0.0.1"))
	for _, addr := range []string{orphan.addr.String(), fmt.Sprintf("[::]:%d", orphan.addr.Port())} {
		s := kernel.Info.New(strategies.Config{Addr: addr, Live: func() ([]int, <-chan struct{}) { return []int{0, 1}, nil }})
		_, _, err := s.Sockets(2)
		if used, ok := err.(*strategies.InUseError); !ok || used.Addr != addr {
			t.Errorf("%s: got %v", addr, err)
		}
	}
	plain, err := net.Listen("tcp", orphan.addr.String())
	if err == nil {
		plain.Close()
		t.Error("others can listen on its address")
	}
	if err := orphan.end(); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, orphan.addr.String(), 2) // though a client of the other is still there
	if _, err := r.choice(netip.MustParseAddr("127.0.0.1")); err != nil {
		t.Error(err)
	}
	_ = client
}

// TestAddresses: it listens where package net would.
func TestAddresses(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "localhost:0", "[::1]:0", ":0", "0.0.0.0:0", "[::]:0", "[::ffff:127.0.0.1]:0"} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Logf("%s: %v", addr, err)
			continue
		}
		want := l.Addr().(*net.TCPAddr).AddrPort().Addr()
		l.Close()
		if got := newRig(t, addr, 2).addr; got.Addr() != want || got.Port() == 0 {
			t.Errorf("%s: listens on %v, package net on %v", addr, got, want)
		}
	}
	for _, addr := range []string{"203.0.113.1:0", "no.such.host.invalid:80"} {
		_, want := net.Listen("tcp", addr)
		s := kernel.Info.New(strategies.Config{Addr: addr, Live: func() ([]int, <-chan struct{}) { return []int{0}, nil }})
		if _, _, err := s.Sockets(1); err == nil || err.Error() != want.Error() {
			t.Errorf("%s: got %v, package net says %v", addr, err, want)
		}
	}
}

// TestNothingLeft: no goroutine and no descriptor outlives Front.
func TestNothingLeft(t *testing.T) {
	newRig(t, "127.0.0.1:0", 1).end() // package net and the poller open what they need
	before := clustertest.Descriptors(t)
	r := newRig(t, "127.0.0.1:0", 4)
	r.front()
	r.setLive(1, 3)
	r.resize(2, 0)
	for range 5 {
		r.connect(netip.MustParseAddr("127.0.0.1"))
	}
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); clustertest.Descriptors(t) > before+5; time.Sleep(10 * time.Millisecond) { // 5: the clients'
		if time.Now().After(end) {
			t.Fatalf("%d descriptors are open, %d were", clustertest.Descriptors(t), before+5)
		}
	}
}

// TestTooMany: slots for which the kernel takes no program are refused before
// there are any, and the cluster goes on as it was.
func TestTooMany(t *testing.T) {
	ownNetwork(t)
	if err := os.WriteFile("/proc/sys/net/core/optmem_max", []byte("4096"), 0); err != nil {
		t.Skipf("this kernel has one optmem_max for all networks: %v", err)
	}
	r := newRig(t, "127.0.0.1:0", 4)
	r.front()
	_, _, err := r.strategy.Sockets(200)
	if err == nil || !strings.Contains(err.Error(), "200 slots") || !strings.Contains(err.Error(), "net.core.optmem_max") {
		t.Fatalf("got %v", err)
	}
	r.resize(4)
	r.setLive(0, 2, 3)
	r.resize(5)
	from, home := sources(20, 0, 1, 2, 3, 4)
	for i, a := range from {
		if got, err := r.choice(a); err != nil || got != home[i] {
			t.Errorf("%v: slot %d, %v, want %d", a, got, err, home[i])
		}
	}
}

// TestSilentWait: a worker accepts what it can read at once.
func TestSilentWait(t *testing.T) {
	r := newRig(t, "127.0.0.1:0", 3)
	for slot := range r.slots {
		if s, err := unix.GetsockoptInt(bare(r.socket(slot)), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT); err != nil || s == 0 {
			t.Errorf("slot %d: silent ones wait for %d s at most, want some: %v", slot, s, err)
		}
	}
}
