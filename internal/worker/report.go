package worker

import (
	"context"
	"time"
)

// reportEvery is how often a busy worker tells the master of its load. An idle
// one keeps quiet.
const reportEvery = 100 * time.Millisecond

// touch notes that the worker has met a connection, or that its sessions have
// changed.
func (w *Worker) touch() {
	select {
	case w.touched <- struct{}{}:
	default: // noted already
	}
}

// report tells the number of sessions whenever something was noted, a little
// later: what comes in a burst is told once, and is complete by then.
func (w *Worker) report(ctx context.Context, tell func(sessions int) error) {
	for {
		select {
		case <-w.touched:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(reportEvery):
		case <-ctx.Done():
			return
		}
		select {
		case <-w.touched: // counted now
		default:
		}
		if tell(w.engine.Sessions()) != nil {
			return // the master is gone
		}
	}
}
