package compare

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/samedoor/samedoor/web"
)

// atOnce is how many clients of a run connect at a time: enough for their
// connections to mix, few enough that the times are the servers'.
const atOnce = 5

var errStopped = errors.New("the run was stopped")

// start begins a run by itself; [web.ErrRunning] if one is under way.
func (c *Comparison) start(ctx context.Context) error {
	ctx, end, err := c.begin(ctx)
	if err != nil {
		return err
	}
	c.runs.Go(func() {
		defer end()
		_, _ = c.measure(ctx) // the state tells
	})
	return nil
}

// Run sends the clients through every strategy, one strategy after the other,
// and returns what they met. It fails when ctx is done, or with
// [web.ErrRunning] if a run is under way.
func (c *Comparison) Run(ctx context.Context) (*Results, error) {
	ctx, end, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	return c.measure(ctx)
}

// Cancel ends the run under way, if there is one. Its results are dropped.
func (c *Comparison) Cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stop != nil {
		c.stop()
	}
}

func (c *Comparison) begin(ctx context.Context) (context.Context, func(), error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.run.Running {
		return nil, nil, web.ErrRunning
	}
	ctx, c.stop = context.WithCancel(ctx)
	cancel := c.stop
	c.run = web.CompareRun{Running: true, Total: len(c.clusters) * c.Clients}
	return ctx, func() {
		cancel()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.run, c.stop = web.CompareRun{}, nil
	}, nil
}

func (c *Comparison) measure(ctx context.Context) (*Results, error) {
	from, note := sources(reachable(c.public.Addr()), c.Clients)
	r := &Results{
		Schema: Schema, Version: c.Version, At: time.Now().UTC().Truncate(time.Millisecond),
		Workers: c.Workers, Clients: c.Clients, AtOnce: min(atOnce, c.Clients), Note: note,
	}
	for _, cl := range c.clusters {
		s := cl.snapshot()
		row := Row{Name: s.Name, Doc: s.Doc, Control: s.Control, State: s.State, Reason: s.Reason, Sessions: []int{}, Failures: []Failure{}, wanted: cl.Wanted}
		if s.State == web.CompareReady {
			c.progress(s.Name, 0)
			os := c.visits(ctx, cl, from)
			if ctx.Err() != nil {
				return nil, errStopped
			}
			row.count(os, c.Workers)
		} else {
			c.progress(s.Name, c.Clients)
		}
		r.Strategies = append(r.Strategies, row)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = r
	return r, nil
}

// visits sends all clients to one cluster, a few at a time.
func (c *Comparison) visits(ctx context.Context, cl *cluster, from []string) []outcome {
	s := cl.snapshot()
	os := make([]outcome, len(from))
	next := make(chan int)
	var running sync.WaitGroup
	for range min(atOnce, len(from)) {
		running.Go(func() {
			for i := range next {
				os[i] = visit(ctx, base(cl.ip, s.Port), from[i], s.Routed)
				c.progress(s.Name, 1)
			}
		})
	}
	for i := range from {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	running.Wait()
	return os
}

func (c *Comparison) progress(strategy string, done int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.run.Strategy = strategy
	c.run.Done += done
}
