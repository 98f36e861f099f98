package strategies

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"
)

// Cover accepts in the place of slots that are not live, until ctx is done:
// their clients still come to their own listening sockets. own tells these, by
// slot; it is asked again when the live slots change. hand owns fd and must not
// block. A worker that drains may accept there, too; each connection goes to
// exactly one of them.
func Cover(ctx context.Context, own func() []*os.File, live LiveFunc, hand func(fd int, from netip.Addr)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var running sync.WaitGroup
	covered := map[int]context.CancelFunc{}
	live.Follow(ctx, func(slots []int) {
		files := own()
		for slot, stop := range covered {
			if slot >= len(files) || slices.Contains(slots, slot) {
				stop()
				delete(covered, slot)
			}
		}
		for slot, f := range files {
			if covered[slot] != nil || slices.Contains(slots, slot) {
				continue
			}
			one, stop := context.WithCancel(ctx)
			covered[slot] = stop
			running.Go(func() {
				if err := also(one, f, hand); err != nil {
					cancel(err)
				}
			})
		}
	})
	running.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// also accepts from another listening socket, until ctx is done, and hands on
// what comes there.
func also(ctx context.Context, f *os.File, hand func(fd int, from netip.Addr)) error {
	own, err := serve(f)
	for ; exhausted(err) && ctx.Err() == nil; own, err = serve(f) {
		time.Sleep(exhaustedFor)
	}
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { own.Close() })()
	defer own.Close()
	err = acceptLoop(own, hand)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// Cover passes what comes to the own sockets of slots that are not live.
func (p *Passer) Cover(ctx context.Context, own func() []*os.File, live LiveFunc, pick PickFunc) error {
	return Cover(ctx, own, live, func(fd int, from netip.Addr) { p.pass(fd, from, live, pick) })
}
