package master

import (
	"cmp"
	"context"
	"syscall"
	"time"

	"github.com/samedoor/samedoor/internal/control"
	"github.com/samedoor/samedoor/internal/restart"
)

// killAfter is how long a worker that was told to end may take. The others bound
// what comes before, when it is told to send its clients elsewhere first: a
// successor waits for the end of that, or nobody does.
const (
	killAfter  = 3 * time.Second
	drainFor   = 3 * time.Second
	leaveAfter = 10 * time.Second
)

// slot is one place in the cluster. run keeps a process in it.
type slot struct {
	m       *Master
	index   int
	policy  restart.Policy
	restart chan chan struct{} // asks for a new process; closed when it is ready
	orders  chan string        // of demo pages, one at a time

	leave  chan struct{}      // closed when it shall drain its process and have no other
	joined chan string        // of a new slot's first process: "" when it is ready, else why it died
	cancel context.CancelFunc // ends it at once
	ended  chan struct{}      // closed when it has
}

// add makes n more slots.
func (m *Master) add(n int, state string) (added []*slot) {
	m.update(func() {
		for range n {
			i := len(m.slots)
			s := &slot{
				m: m, index: i, policy: restart.Policy{Max: m.MaxRestarts, Delay: m.RestartDelay},
				restart: make(chan chan struct{}), orders: make(chan string, 1),
				leave: make(chan struct{}), joined: make(chan string, 2), ended: make(chan struct{}),
			}
			added, m.slots, m.processes = append(added, s), append(m.slots, s), append(m.processes, nil)
			m.cluster.Workers = append(m.cluster.Workers, control.Worker{
				Slot: i, ID: m.idOf(i), Port: m.WorkerPort + i, State: state,
			})
		}
	})
	return added
}

// start lets processes begin in slots.
func (m *Master) start(ctx context.Context, slots []*slot) {
	for _, s := range slots {
		var sctx context.Context
		sctx, s.cancel = context.WithCancel(ctx)
		m.running.Go(func() {
			defer close(s.ended)
			defer s.cancel()
			s.run(sctx)
		})
	}
}

// ended is how a worker ends that was told to, be it with the whole process
// group, as a service manager does: the master may hear of that last.
const ended = "exit status 0"

// stopped tells whether the master is told to end, too.
func stopped(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return true
	case <-time.After(200 * time.Millisecond):
		return false
	}
}

func (s *slot) leaving() bool {
	select {
	case <-s.leave:
		return true
	default:
		return false
	}
}

// order passes on what a demo page asks for. It never blocks: one order may
// wait, and whatever comes until it is carried out means the same worker.
func (m *Master) order(o control.Order) {
	all := m.all()
	if o.Slot < 0 || o.Slot >= len(all) {
		return
	}
	select {
	case all[o.Slot].orders <- o.Do:
	default:
	}
}

// run keeps a process in the slot until ctx is done or the slot is given up.
func (s *slot) run(ctx context.Context) {
	var waiting chan struct{} // who asked for the restart under way
	for ctx.Err() == nil && !s.leaving() {
		ready, ordered, why := s.live(ctx, waiting)
		if ctx.Err() != nil || s.leaving() || s.m.failedToJoin(s, why) {
			return
		}
		if waiting = ordered; ordered != nil {
			s.m.set(s.index, func(w *control.Worker) { w.Restarts++ })
			continue
		}
		if why == ended && stopped(ctx) {
			return
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
		case <-s.leave:
		case <-ctx.Done():
		}
	}
}

// live runs one process. It returns how long the process was ready, who ordered
// its end (nil if it died by itself: an end by order is no death), and why it died.
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
	end := func() {
		_ = p.Signal(syscall.SIGTERM)
		kill = time.After(killAfter)
	}
	drain := func(limit time.Duration) {
		p.drain(limit)
		kill = time.After(limit + killAfter)
	}
	stop, leave := ctx.Done(), s.leave
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
				s.joins("")
			}
		case ordered = <-restart:
			restart = nil
			s.m.set(s.index, func(w *control.Worker) { w.State = control.Draining })
			drain(drainFor)
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
				drain(drainFor)
			}
		case <-leave:
			leave, restart, orders = nil, nil, nil
			drain(leaveAfter)
		case <-stop:
			stop, leave = nil, nil
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
