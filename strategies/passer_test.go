package strategies

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// rig is a Passer with n lanes, and workers that answer with their slot.
type rig struct {
	t      *testing.T
	passer Passer
	addr   string
	ends   [][]*os.File
	cancel context.CancelFunc
	done   chan error

	mu    sync.Mutex
	slots []int
	moved chan struct{}

	answer func(c net.Conn, slot int) // what workers do
	hello  string                     // what clients begin with: the silent are kept waiting
}

func newRig(t *testing.T, n int, pick PickFunc) *rig {
	t.Helper()
	r := newRigThat(t, n, func(ctx context.Context, r *rig) error { return r.passer.Run(ctx, r.live, pick) })
	r.hello = "G"
	return r
}

// newRigThat runs another of the Passer's loops.
func newRigThat(t *testing.T, n int, run func(context.Context, *rig) error) *rig {
	t.Helper()
	r := &rig{t: t, done: make(chan error, 1), moved: make(chan struct{})}
	r.answer = func(c net.Conn, slot int) { fmt.Fprintf(c, "slot %d for %v", slot, c.RemoteAddr()) }
	for i := range n {
		r.slots = append(r.slots, i)
	}
	at, ends, err := r.passer.Open("127.0.0.1:0", n)
	if err != nil {
		t.Fatal(err)
	}
	r.addr, r.ends = at.String(), ends
	ctx, cancel := context.WithCancel(t.Context())
	r.cancel = cancel
	go func() { r.done <- run(ctx, r) }()
	t.Cleanup(func() {
		cancel()
		if err := <-r.done; err != nil {
			t.Error(err)
		}
		r.done <- nil
	})
	return r
}

func (r *rig) live() ([]int, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.slots, r.moved
}

func (r *rig) setLive(slots ...int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.slots = slots
	close(r.moved)
	r.moved = make(chan struct{})
}

// work serves a slot, as a worker that inherited its end does, until the
// returned function is called.
func (r *rig) work(slot int) (stop func()) {
	r.t.Helper()
	f, err := serve(r.ends[slot][0])
	if err != nil {
		r.t.Fatal(err)
	}
	l, err := Listen(f)
	if err != nil {
		r.t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.ReadFull(c, make([]byte, len(r.hello))) // closing what is unread resets
				r.answer(c, slot)
			}()
		}
	}()
	r.t.Cleanup(func() { l.Close() })
	return func() { l.Close() }
}

func (r *rig) dial(from string) net.Conn {
	r.t.Helper()
	d := net.Dialer{Timeout: 30 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	r.t.Cleanup(func() { c.Close() })
	_, _ = io.WriteString(c, r.hello) // who is refused notices later
	return c
}

func answered(t *testing.T, c net.Conn, want string) {
	t.Helper()
	b, err := io.ReadAll(c)
	if err != nil || !strings.HasPrefix(string(b), want) {
		t.Errorf("got %q, %v; want %s", b, err, want)
	}
}

// TestResetOnTheWay: a connection that its client resets before the worker
// receives it has no peer any more, and is nobody's.
func TestResetOnTheWay(t *testing.T) {
	r := newRig(t, 1, Slot)
	for range 3 {
		c := r.dial("127.0.0.1")
		_ = c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	c := r.dial("127.0.0.1")
	f, err := serve(r.ends[0][0])
	if err != nil {
		t.Fatal(err)
	}
	l, err := Listen(f)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	if from := got.RemoteAddr(); from == nil || from.String() != c.LocalAddr().String() {
		t.Errorf("a connection from %v, want %v", from, c.LocalAddr())
	}
}

func TestPassesByAddress(t *testing.T) {
	r := newRig(t, 4, Slot)
	for slot := range 4 {
		r.work(slot)
	}
	seen := map[int]bool{}
	for i := 1; i <= 16; i++ {
		from := fmt.Sprintf("127.0.0.%d", i)
		slot := Slot(netip.MustParseAddr(from), []int{0, 1, 2, 3})
		seen[slot] = true
		for range 3 {
			answered(t, r.dial(from), fmt.Sprintf("slot %d for %s:", slot, from))
		}
	}
	if len(seen) < 3 {
		t.Errorf("16 addresses met only slots %v", seen)
	}
}

func TestRoundRobin(t *testing.T) {
	r := newRig(t, 3, RoundRobin())
	for slot := range 3 {
		r.work(slot)
	}
	for i := range 6 {
		answered(t, r.dial("127.0.0.1"), fmt.Sprintf("slot %d ", i%3))
	}
}

// TestDeadWorkersConnectionsWait takes both ends with the master to be what
// keeps a dead worker's clients.
func TestDeadWorkersConnectionsWait(t *testing.T) {
	r := newRig(t, 1, Slot)
	r.work(0)()
	var waiting []net.Conn
	for range 20 {
		waiting = append(waiting, r.dial("127.0.0.1"))
	}
	r.work(0) // the successor
	for _, c := range waiting {
		answered(t, c, "slot 0 ")
	}
}

func TestGivenUpSlotsConnectionsArePassedAgain(t *testing.T) {
	r := newRig(t, 2, func(_ netip.Addr, live []int) int { return live[0] })
	r.work(1)
	var waiting []net.Conn
	for range 20 {
		waiting = append(waiting, r.dial("127.0.0.1"))
	}
	r.setLive(1)
	for _, c := range waiting {
		answered(t, c, "slot 1 ")
	}
	r.setLive()
	answered(t, r.dial("127.0.0.1"), "HTTP/1.1 503 ")
}

// TestStalledWorker fills one lane: its next client is told to retry, and the
// other slot's clients don't notice.
func TestStalledWorker(t *testing.T) {
	r := newRig(t, 2, func(from netip.Addr, _ []int) int { return int(from.As4()[3]) - 1 })
	r.work(1)
	told := make(chan string, 1) // what the first answer begins with
	sent := 0
	for ; sent < 3000 && len(told) == 0; sent++ {
		c := r.dial("127.0.0.1")
		_ = c.SetDeadline(time.Time{})
		go func() {
			b := make([]byte, 12)
			if n, _ := io.ReadFull(c, b); n > 0 {
				select {
				case told <- string(b[:n]):
				default:
				}
			}
		}()
	}
	select {
	case got := <-told:
		if got != "HTTP/1.1 503" {
			t.Fatalf("got %q", got)
		}
	case <-time.After(time.Minute):
		t.Fatalf("%d connections for a stalled worker, and none was told to retry", sent)
	}
	t.Logf("%d connections for a stalled worker until one is told", sent)
	answered(t, r.dial("127.0.0.2"), "slot 1 ")
	r.work(0) // it goes on: what waited is served, then there is room again
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		b, err := io.ReadAll(r.dial("127.0.0.1"))
		if strings.HasPrefix(string(b), "slot 0 ") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("got %q, %v", b, err)
		}
	}
}

// TestFewerLanes: what waits in a lane that goes is passed to one that stays.
func TestFewerLanes(t *testing.T) {
	r := newRig(t, 3, func(_ netip.Addr, live []int) int { return live[len(live)-1] })
	r.work(0)
	var waiting []net.Conn
	for range 20 {
		waiting = append(waiting, r.dial("127.0.0.1"))
	}
	r.passer.mu.Lock() // nothing is being passed
	r.mu.Lock()
	r.slots = []int{0} // without a word, so that Open alone can find them
	r.mu.Unlock()
	r.passer.mu.Unlock()
	at, ends, err := r.passer.Open("ignored", 1)
	if err != nil || len(ends) != 1 || at.String() != r.addr || ends[0][0] != r.ends[0][0] {
		t.Fatalf("Open again: %v %v %v", at, ends, err)
	}
	for _, c := range waiting {
		answered(t, c, "slot 0 ")
	}
	if _, ends, err := r.passer.Open("ignored", 3); err != nil || len(ends) != 3 || ends[0][0] != r.ends[0][0] {
		t.Errorf("and more again: %v %v", ends, err)
	}
}

// TestCover: who knocks at the own address of a slot that has been given up is
// passed to another; when the slot is live again, its own worker accepts.
func TestCover(t *testing.T) {
	r := newRig(t, 2, Slot)
	r.work(1)
	own, at, err := OpenTCP("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	knock := func() net.Conn {
		c, err := net.Dial("tcp", at.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_, _ = io.WriteString(c, r.hello)
		return c
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.passer.Cover(ctx, func() []*os.File { return []*os.File{own} }, r.live, Slot) }()
	waited := knock()
	r.setLive(1)
	answered(t, waited, "slot 1 ")
	answered(t, knock(), "slot 1 ")

	r.setLive(0, 1)
	f, err := serve(own)
	if err != nil {
		t.Fatal(err)
	}
	l, err := Listen(f)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan struct{})
	go func() {
		defer close(got)
		if c, err := l.Accept(); err == nil {
			c.Close()
		}
	}()
	for accepted := false; !accepted; { // those that meet the end of the cover go to slot 1 or 0 as ever
		knock()
		select {
		case <-got:
			accepted = true
		case <-time.After(10 * time.Millisecond):
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestClosedUnderFlood: accepting ends though there is always a next connection.
func TestClosedUnderFlood(t *testing.T) {
	f, at, err := OpenTCP("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	own, err := serve(f)
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		c, err := net.Dial("tcp", at.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	accepted := 0
	_ = acceptLoop(own, func(fd int, _ netip.Addr) {
		unix.Close(fd)
		if accepted++; accepted > 1 {
			return
		}
		go own.Close()
		rc, err := own.SyscallConn()
		for err == nil { // until it is being closed
			err = rc.Control(func(uintptr) { runtime.Gosched() })
		}
	})
	if accepted != 1 {
		t.Errorf("%d connections were accepted, all but one of them after the end", accepted)
	}
}

func TestInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var p Passer
	_, _, err = p.Open(l.Addr().String(), 1)
	if used, ok := err.(*InUseError); !ok || used.Addr != l.Addr().String() {
		t.Errorf("got %v", err)
	}
}

// TestSilentWait: connections stay with the kernel until there is something to
// read. (The option is set once the passer runs, which a first answer proves.)
func TestSilentWait(t *testing.T) {
	r := newRig(t, 1, Slot)
	r.work(0)
	answered(t, r.dial("127.0.0.1"), "slot 0 ")
	rc, err := r.passer.public.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var seconds int
	var gerr error
	if err := rc.Control(func(s uintptr) { seconds, gerr = unix.GetsockoptInt(int(s), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT) }); err != nil || gerr != nil || seconds == 0 {
		t.Errorf("they wait for %d s at most, want some: %v, %v", seconds, err, gerr)
	}
}
