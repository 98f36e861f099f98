package master

import (
	"cmp"
	"context"
	"syscall"
	"time"

	"github.com/samedoor/samedoor/internal/control"
	"github.com/samedoor/samedoor/internal/restart"
)

// killAfter is how long a worker that was told to end may take.
const killAfter = 3 * time.Second

// slot is one place in the cluster. run keeps a process in it.
type slot struct {
	m       *Master
	index   int
	policy  restart.Policy
	restart chan chan struct{} // asks for a new process; closed when it is ready
	orders  chan string        // of demo pages, one at a time
}

func newSlot(m *Master, index int) *slot {
	return &slot{
		m: m, index: index, policy: restart.Policy{Max: m.MaxRestarts, Delay: m.RestartDelay},
		restart: make(chan chan struct{}), orders: make(chan string, 1),
	}
}

// order passes on what a demo page asks for. It never blocks: one order may
// wait, and whatever comes until it is carried out means the same worker.
func (m *Master) order(o control.Order) {
	if o.Slot < 0 || o.Slot >= len(m.slots) {
		return
	}
	select {
	case m.slots[o.Slot].orders <- o.Do:
	default:
	}
}

// run keeps a process in the slot until ctx is done or the slot is given up.
func (s *slot) run(ctx context.Context) {
	var waiting chan struct{} // who asked for the restart under way
	for ctx.Err() == nil {
		ready, ordered, why := s.live(ctx, waiting)
		if ctx.Err() != nil {
			return
		}
		if waiting = ordered; ordered != nil {
			s.m.set(s.index, func(w *control.Worker) { w.Restarts++ })
			continue
		}
		after, giveUp := s.policy.Died(ready)
		if giveUp {
			s.m.log.Error("slot given up: its worker died too often", "slot", s.index, "restarts", s.policy.Count, "last", why)
			s.m.set(s.index, func(w *control.Worker) { w.State = control.GivenUp })
			return
		}
		s.m.log.Warn("worker died", "slot", s.index, "how", why, "next", after.String())
		s.m.set(s.index, func(w *control.Worker) { w.State, w.Restarts = control.Waiting, w.Restarts+1 })
		select {
		case <-time.After(after):
		case waiting = <-s.restart:
		case <-s.orders:
		case <-ctx.Done():
		}
	}
}

// live runs one process. Its end by order counts as a restart, not as a death. It returns how long the process was ready, who
// ordered its end (nil if it died by itself), and why it died.
func (s *slot) live(ctx context.Context, waiting chan struct{}) (ready time.Duration, ordered chan struct{}, why string) {
	boot := s.m.bootOf(s.index)
	p, err := start(boot, s.m.snapshot(), s.m.socketsOf(s.index), s.m.order)
	if err != nil {
		return 0, nil, err.Error()
	}
	s.m.attach(s.index, p)
	defer s.m.attach(s.index, nil)
	defer s.m.loads.set(s.index, 0) // its sessions end with it
	var since time.Time
	var kill <-chan time.Time
	stop, end := ctx.Done(), func() {
		_ = p.Signal(syscall.SIGTERM)
		kill = time.After(killAfter)
	}
	restart, orders := s.restart, (chan string)(nil) // pages' orders are for workers that serve
	for {
		select {
		case msg, ok := <-p.said:
			switch {
			case !ok:
				p.said = nil
			case msg.Failed != "":
				why = msg.Failed
			case msg.Sessions != nil:
				s.m.loads.set(s.index, *msg.Sessions)
			case msg.Ready:
				since = time.Now()
				select {
				case <-s.orders: // meant the one before
				default:
				}
				orders = s.orders
				s.m.log.Info("worker ready", "slot", s.index, "worker", p.Pid)
				s.m.set(s.index, func(w *control.Worker) { w.State = control.Ready })
				if waiting != nil {
					close(waiting)
				}
			}
		case ordered = <-restart:
			restart = nil
			s.m.set(s.index, func(w *control.Worker) { w.State = control.Draining })
			end()
		case do := <-orders:
			if ordered == nil {
				ordered = make(chan struct{})
			}
			s.m.log.Info("ordered by the page: "+do, "slot", s.index, "worker", p.Pid)
			switch {
			case do == control.Kill:
				orders, restart = nil, nil
				_ = p.Kill()
			case restart != nil:
				restart = nil
				s.m.set(s.index, func(w *control.Worker) { w.State = control.Draining })
				end()
			}
		case <-stop:
			stop = nil
			end()
		case <-kill:
			_ = p.Kill()
		case <-p.done:
			if !since.IsZero() {
				ready = time.Since(since)
			}
			if p.said != nil {
				for msg := range p.said { // its last words
					why = cmp.Or(msg.Failed, why)
				}
			}
			if why == "" {
				why = p.how
			}
			return ready, ordered, why
		}
	}
}
