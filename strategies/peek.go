package strategies

import (
	"container/list"
	"context"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A PeekFunc chooses one of the live slots (ascending, never empty) for a
// client, as a [PickFunc] does, and may look at what the client has sent so
// far. It is asked with an empty head first, before anything is read, and again
// with a longer one each time it returns false. With last set there will be no
// longer one (it is [MaxHead] bytes long, the client has ended its side, or too
// many clients are slow), and it must choose.
//
// What a client sends is its own invention: head is to be checked like any
// input. It is valid during the call only, and calls do not overlap.
type PeekFunc func(client netip.Addr, head []byte, last bool, live []int) (slot int, ok bool)

// MaxHead is how much of a connection is looked at, in bytes.
const MaxHead = 16 << 10

const (
	peekTime = 5 * time.Second // how long a client may take to send what is looked at
	peekRoom = 512             // clients that may do so at once, each a descriptor and a goroutine
)

// RunPeek is Run for a choice that depends on a connection's first bytes. They
// are peeked at, never consumed: the worker reads them as if nothing had been.
//
// Clients that have sent enough, nearly all of them, are passed at once. Those
// that haven't hold up nobody: they are waited for on the side, and closed
// after a while, with 408 if they had begun a request. When very many are slow,
// the oldest of them are passed by what they have sent.
func (p *Passer) RunPeek(ctx context.Context, live LiveFunc, peek PeekFunc) error {
	return p.runPeek(ctx, live, peek, peekTime, peekRoom)
}

func (p *Passer) runPeek(ctx context.Context, live LiveFunc, peek PeekFunc, limit time.Duration, room int) error {
	slow, cancel := context.WithCancel(ctx)
	k := &peeker{p: p, live: live, peek: peek, limit: limit, room: room, ctx: slow}
	err := p.run(ctx, live, k.hand)
	cancel()
	k.running.Wait()
	return err
}

type peeker struct {
	p     *Passer
	live  LiveFunc
	peek  PeekFunc
	limit time.Duration
	room  int

	ctx     context.Context // done when those that wait are to be closed
	running sync.WaitGroup  // their goroutines
	mu      sync.Mutex      // guards waiting, and the crowded of those in it
	waiting list.List       // of *waiter, the oldest first
}

// A waiter is a connection whose client has yet to send enough.
type waiter struct {
	*os.File
	from    netip.Addr
	crowded bool // it has made room for others
}

// heads lends buffers, so that a client that waits holds none.
var heads = sync.Pool{New: func() any { return new([MaxHead]byte) }}

// hand passes fd, or waits for what the client has yet to send. It never blocks.
func (k *peeker) hand(fd int, from netip.Addr) {
	if k.choose(fd, from, nil, false) {
		return
	}
	buf := heads.Get().(*[MaxHead]byte)
	defer heads.Put(buf)
	n, err := look(fd, buf)
	switch {
	case err == unix.EAGAIN: // nothing yet
	case err != nil || n == 0: // the client has left
		unix.Close(fd)
		return
	case k.choose(fd, from, buf[:n], n == MaxHead):
		return
	}
	_ = unix.SetNonblock(fd, true) // which takes it into the runtime's poller
	w := &waiter{File: os.NewFile(uintptr(fd), "connection"), from: from}
	_ = w.SetReadDeadline(time.Now().Add(k.limit))
	k.mu.Lock()
	at := k.waiting.PushBack(w)
	if k.waiting.Len() > k.room {
		oldest := k.waiting.Remove(k.waiting.Front()).(*waiter)
		oldest.crowded = true
		_ = oldest.SetReadDeadline(past)
	}
	k.mu.Unlock()
	k.running.Go(func() { k.wait(w, at) })
}

// choose passes fd if peek knows a slot for it; else it stays the caller's.
func (k *peeker) choose(fd int, from netip.Addr, head []byte, last bool) bool {
	return k.p.offer(fd, k.live, func(slots []int) (int, bool) {
		slot, ok := k.peek(from, head, last, slots)
		return slot, ok || last
	})
}

// past is a deadline that wakes who waits.
var past = time.Unix(1, 0)

// wait looks again whenever more has arrived, until w's deadline.
func (k *peeker) wait(w *waiter, at *list.Element) {
	defer w.Close()
	defer context.AfterFunc(k.ctx, func() { _ = w.SetReadDeadline(past) })()
	rc, err := w.SyscallConn()
	if err != nil {
		return
	}
	begun := false
	err = rc.Read(func(s uintptr) bool { // after false it waits for changes only
		n, done := k.again(int(s), w.from, false)
		begun = begun || n > 0
		return done
	})
	k.mu.Lock()
	k.waiting.Remove(at) // unless it has been
	crowded := w.crowded
	k.mu.Unlock()
	if err == nil || k.ctx.Err() != nil {
		return
	}
	_ = rc.Control(func(s uintptr) {
		switch {
		case crowded:
			_, _ = k.again(int(s), w.from, true)
		case begun:
			if own, err := unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 0); err == nil {
				refuse(own, tooSlow)
			}
		}
	})
}

// again looks at n bytes. It is done when the client has left, or its
// connection was passed: a copy, since the descriptor stays its file's.
func (k *peeker) again(fd int, from netip.Addr, last bool) (n int, done bool) {
	buf := heads.Get().(*[MaxHead]byte)
	defer heads.Put(buf)
	last = last || ended(fd) // before the look, which then sees all there will be
	n, err := look(fd, buf)
	switch {
	case err == unix.EAGAIN && !last:
		return 0, false
	case err != unix.EAGAIN && (err != nil || n == 0):
		return 0, true
	}
	n = max(n, 0)
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return n, true
	}
	if k.choose(own, from, buf[:n], last || n == MaxHead) {
		return n, true
	}
	unix.Close(own)
	return n, false
}

// tooSlow is what a client gets that does not end the line it began.
const tooSlow = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

// ended tells whether the client has ended its side: no more will come. What it
// has sent hides that from look.
func ended(fd int) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(p, 0)
	return err == nil && n > 0
}

// look reads what has arrived on fd, and leaves it there.
func look(fd int, buf *[MaxHead]byte) (n int, err error) {
	for {
		n, _, err = unix.Recvfrom(fd, buf[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		if err != unix.EINTR {
			return n, err
		}
	}
}
