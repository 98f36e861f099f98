package master

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/samedoor/samedoor/internal/control"
	"github.com/samedoor/samedoor/strategies"
)

// joinLimit is how long new workers may take to be ready.
const joinLimit = 30 * time.Second

// scale brings the cluster to n slots, and returns how many it had. It waits for
// its turn: until then ctx, the asker's, may end it; what has begun is finished
// unless the master ends. After an error the cluster is as it was.
func (m *Master) scale(ctx, running context.Context, n int) (was int, err error) {
	select {
	case <-m.up:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if err := m.turn(ctx); err != nil {
		return 0, err
	}
	defer func() { <-m.changing }()
	was = len(m.snapshot().Workers)
	switch {
	case n > was:
		err = m.grow(running, was, n)
	case n < was:
		err = m.shrink(running, n)
	}
	if err != nil {
		m.log.Error("scale failed", "from", was, "to", n, "error", err)
		return was, err
	}
	m.log.Info("scaled", "from", was, "to", n)
	return was, nil
}

// grow opens the sockets first, then starts the workers. The slots are live, all
// at once, when all are ready: a client never waits for one that fails.
func (m *Master) grow(ctx context.Context, was, n int) error {
	if last := m.WorkerPort + n - 1; last > 65535 {
		return fmt.Errorf("workers have ports from %d on, and there is no port %d; %d workers go on", m.WorkerPort, last, was)
	}
	if _, err := m.resize(n); err != nil {
		_, _ = m.resize(was) // closes what was opened
		if used := new(strategies.InUseError); errors.As(err, &used) {
			return fmt.Errorf("%w: stop what listens there; %d workers go on", used, was)
		}
		return fmt.Errorf("%w; %d workers go on", err, was)
	}
	joining := m.add(n-was, control.Joining)
	m.start(ctx, joining)
	err := m.admit(ctx, joining)
	if err == nil {
		return nil
	}
	for _, s := range joining {
		s.cancel()
	}
	for _, s := range joining {
		<-s.ended
	}
	m.cut(was)
	return fmt.Errorf("%w; %d workers go on", err, was)
}

// admit makes slots live once the workers in all of them are ready.
func (m *Master) admit(ctx context.Context, joining []*slot) error {
	limit := time.After(joinLimit)
	for _, s := range joining {
		select {
		case why := <-s.joined:
			if why != "" {
				return fmt.Errorf("worker %d does not start: %s", s.index, why)
			}
		case <-limit:
			return fmt.Errorf("worker %d is not ready within %v", s.index, joinLimit)
		case <-ctx.Done():
			return errors.New("the master is ending")
		}
	}
	var died *slot
	m.update(func() {
		for _, s := range joining {
			if len(s.joined) > 0 { // what came after ready
				died = s
				return
			}
		}
		for _, s := range joining {
			m.cluster.Workers[s.index].State = control.Ready
		}
	})
	if died != nil {
		return fmt.Errorf("worker %d died: %s", died.index, <-died.joined)
	}
	return nil
}

// failedToJoin tells of the end of a process whose slot is not live yet. Such a
// slot has no second one.
func (m *Master) failedToJoin(s *slot, why string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cluster.Workers[s.index].State != control.Joining {
		return false
	}
	s.joins(cmp.Or(why, "it ended"))
	return true
}

// joins tells what became of a new slot's process; ready, and dead later, at the
// most.
func (s *slot) joins(why string) {
	select {
	case s.joined <- why:
	default:
	}
}

// shrink takes the highest slots out of the live ones: newcomers go elsewhere, and
// so do, by and by, the sessions. When their processes have ended, what still
// waits for them is passed to others.
func (m *Master) shrink(ctx context.Context, n int) error {
	if live, _ := m.live(); slices.Min(append(live, math.MaxInt)) >= n {
		return fmt.Errorf("only workers that were given up would be left of %d: choose more, or restart the cluster", n)
	}
	m.update(func() {
		for i := range m.cluster.Workers[n:] {
			m.cluster.Workers[n+i].State = control.Leaving
		}
	})
	leaving := m.all()[n:]
	for _, s := range leaving {
		close(s.leave)
	}
	for _, s := range leaving {
		<-s.ended // as it does when the master ends
	}
	if ctx.Err() != nil {
		return errors.New("the master is ending")
	}
	return m.cut(n)
}

// cut forgets the slots from n on, in which no process is left.
func (m *Master) cut(n int) error {
	_, err := m.resize(n)
	m.update(func() {
		m.cluster.Workers = m.cluster.Workers[:n]
		m.slots, m.processes = slices.Clone(m.slots[:n]), slices.Clone(m.processes[:n])
	})
	return err
}
