package strategies

import (
	"context"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Passer accepts every connection on the public address and passes each to a
// slot, unread. The strategies that choose a slot per connection differ only
// in the pick they give to [Passer.Run].
type Passer struct {
	public *os.File
	addr   netip.AddrPort

	mu    sync.Mutex // guards the following; held while passing, which never blocks
	lanes []*Lane
	hand  func(fd int, from netip.Addr) // what becomes of a connection, once Run or Rescue runs
}

// Open opens the public address on the first call and brings the number of
// lanes to n. It returns the receiving ends, one a slot, for the workers. What
// waits in a lane that goes is passed again.
func (p *Passer) Open(addr string, n int) (netip.AddrPort, [][]*os.File, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.public == nil {
		f, at, err := OpenTCP(addr)
		if err != nil {
			return at, nil, err
		}
		defer f.Close()
		if p.public, err = serve(f); err != nil {
			return at, nil, err
		}
		p.addr = at
	}
	slots, err := p.resize(n)
	return p.addr, slots, err
}

// Lanes is [Passer.Open] without a public address: for workers that accept by
// themselves, and are passed only what others had.
func (p *Passer) Lanes(n int) ([][]*os.File, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.resize(n)
}

func (p *Passer) resize(n int) ([][]*os.File, error) {
	for len(p.lanes) < n {
		l, err := NewLane()
		if err != nil {
			return nil, err
		}
		p.lanes = append(p.lanes, l)
	}
	for _, l := range p.lanes[n:] {
		go passAgain(l.Drain(), p.hand) // which takes the lock, and perhaps the caller's
		l.Close()
	}
	p.lanes = p.lanes[:n]
	slots := make([][]*os.File, n)
	for i, l := range p.lanes {
		slots[i] = []*os.File{l.Receiver()}
	}
	return slots, nil
}

// PickFunc chooses one of the live slots (ascending, never empty) for a client.
type PickFunc func(client netip.Addr, live []int) int

// RoundRobin returns a PickFunc that takes the slots in turn, as a process
// manager does.
func RoundRobin() PickFunc {
	var turn atomic.Uint32
	return func(_ netip.Addr, live []int) int {
		return live[int(turn.Add(1)-1)%len(live)]
	}
}

// Run accepts and passes until ctx is done. pick returns one of the live slots
// for a client. A slot that leaves the live ones has its undelivered
// connections passed again to those that stay. (A worker that is about to end
// may take some of them first; each goes to exactly one.)
func (p *Passer) Run(ctx context.Context, live LiveFunc, pick PickFunc) error {
	return p.run(ctx, live, func(fd int, from netip.Addr) { p.pass(fd, from, live, pick) })
}

// run gives each connection to hand: accepted ones, and those of slots that
// are given up.
func (p *Passer) run(ctx context.Context, live LiveFunc, hand func(fd int, from netip.Addr)) error {
	if err := deferAccept(p.public); err != nil {
		return err
	}
	var rescuing sync.WaitGroup
	rescuing.Go(func() { p.watch(ctx, live, hand) })
	defer context.AfterFunc(ctx, func() { p.public.Close() })() // ends the accept loop
	err := acceptLoop(p.public, hand)
	if ctx.Err() == nil {
		return err
	}
	rescuing.Wait()
	return nil
}

// Rescue is [Passer.Run] without a public address: it passes again what a slot
// that leaves the live ones had not received. When ctx is done it closes the lanes.
func (p *Passer) Rescue(ctx context.Context, live LiveFunc, pick PickFunc) {
	p.watch(ctx, live, func(fd int, from netip.Addr) { p.pass(fd, from, live, pick) })
}

func (p *Passer) watch(ctx context.Context, live LiveFunc, hand func(fd int, from netip.Addr)) {
	p.mu.Lock()
	p.hand = hand
	p.mu.Unlock()
	live.Follow(ctx, func([]int) { p.rescue(live, hand) })
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lanes {
		l.Close()
	}
	p.lanes, p.hand = nil, nil
}

func (p *Passer) pass(fd int, from netip.Addr, live LiveFunc, pick PickFunc) {
	p.offer(fd, live, func(slots []int) (int, bool) { return pick(from, slots), true })
}

// offer passes fd to the slot that choose returns, or refuses it. It returns
// false, and fd stays the caller's, if choose does.
func (p *Passer) offer(fd int, live LiveFunc, choose func(live []int) (slot int, ok bool)) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	slots, _ := live() // under the lock: after a change, rescue finds what was passed before it
	if len(slots) == 0 {
		refuse(fd, unavailable)
		return true
	}
	slot, ok := choose(slots)
	if ok && (slot >= len(p.lanes) || !p.lanes[slot].Pass(fd)) {
		refuse(fd, unavailable)
	}
	return ok
}

// rescue passes again what waits in the lanes of slots that are given up.
func (p *Passer) rescue(live LiveFunc, hand func(fd int, from netip.Addr)) {
	p.mu.Lock()
	var stranded []int
	slots, _ := live()
	for slot, l := range p.lanes {
		if !slices.Contains(slots, slot) {
			stranded = append(stranded, l.Drain()...)
		}
	}
	p.mu.Unlock()
	passAgain(stranded, hand)
}

func passAgain(stranded []int, hand func(fd int, from netip.Addr)) {
	for _, fd := range stranded {
		sa, err := syscall.Getpeername(fd)
		if err != nil || hand == nil { // the client has left, or nobody passes any more
			unix.Close(fd)
			continue
		}
		hand(fd, addrOf(sa))
	}
}

// unavailable is what a client gets whose worker does not take connections.
const unavailable = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 48\r\n\r\nThe worker for this client is busy: retry soon.\n"

// refuse answers and closes fd without waiting for the client: new clients of
// a stalled worker learn to retry, and other workers' clients don't notice.
func refuse(fd int, answer string) {
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Usec: 1})
	_, _ = unix.Write(fd, []byte(answer))
	_ = unix.Shutdown(fd, unix.SHUT_WR)
	// Closing with the request unread would reset the connection and could
	// discard the answer on its way; linger a little, off the accept loop.
	time.AfterFunc(100*time.Millisecond, func() { unix.Close(fd) })
}
