package bus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrGone says that the bus is out of reach at the moment.
var ErrGone = errors.New("the bus is out of reach")

// probeEvery spaces the calls that are let through while the bus is away:
// enough to notice its return soon, too few to warm a CPU, however many
// clients keep sending.
const probeEvery = 250 * time.Millisecond

// health knows whether the bus answers. It logs one line when it goes and one
// when it is back, and lets few calls through in between.
type health struct {
	log   *slog.Logger
	place string

	mu    sync.Mutex
	gone  time.Time     // since when; zero while it answers
	probe time.Time     // when the next call may be tried
	back  chan struct{} // closed (and replaced) each time it comes back
}

func newHealth(log *slog.Logger, place string) *health {
	return &health{log: log, place: place, back: make(chan struct{})}
}

func (h *health) up() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.gone.IsZero()
}

// returned is closed when the bus comes back the next time.
func (h *health) returned() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.back
}

// allow reports whether a call may be tried now.
func (h *health) allow() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gone.IsZero() {
		return true
	}
	now := time.Now()
	if now.Before(h.probe) {
		return false
	}
	h.probe = now.Add(probeEvery)
	return true
}

// note takes the outcome of a call, and returns it, marked with ErrGone when
// it was not the server's answer but its absence.
func (h *health) note(err error) error {
	if errors.Is(err, redis.ErrClosed) {
		return fmt.Errorf("%w: %w", ErrGone, err) // by us: nothing to log
	}
	lost := absent(err)
	h.mu.Lock()
	was := h.gone
	switch {
	case lost && was.IsZero():
		h.gone = time.Now()
		h.probe = h.gone.Add(probeEvery)
	case !lost && !was.IsZero():
		h.gone = time.Time{}
		close(h.back)
		h.back = make(chan struct{})
	}
	h.mu.Unlock()

	switch {
	case lost && was.IsZero():
		h.log.Warn("bus gone", "bus", h.place, "error", err)
	case !lost && !was.IsZero():
		h.log.Info("bus back", "bus", h.place, "after", time.Since(was).Round(time.Millisecond).String())
	}
	if lost {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	return err
}

// absent tells a server that can't be reached, or can't work yet, from one that
// answered, if only to refuse.
func absent(err error) bool {
	if err == nil || errors.Is(err, redis.Nil) {
		return false
	}
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrPoolExhausted) {
		return true
	}
	for _, state := range []string{"LOADING", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "READONLY"} {
		if redis.HasErrorPrefix(err, state) || strings.HasPrefix(err.Error(), state+" ") {
			return true
		}
	}
	return strings.HasPrefix(err.Error(), "redis: ") // such as "all sentinels specified … are unreachable"
}

// Pause is what a loop waits between attempts: 100 ms, doubled up to 1 s, and
// spread, so that all workers don't come back in the same instant.
type Pause struct{ last time.Duration }

// Reset follows a success.
func (p *Pause) Reset() { p.last = 0 }

// Wait follows a failure. It reports false when ctx ended meanwhile, and ends
// early when wake is closed or sent to; wake may be nil.
func (p *Pause) Wait(ctx context.Context, wake <-chan struct{}) bool {
	p.last = min(max(2*p.last, 100*time.Millisecond), time.Second)
	t := time.NewTimer(p.last/2 + rand.N(p.last/2))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
	case <-wake:
	}
	return true
}

// complaint logs what keeps going wrong once, and once more when it is over.
// The bus's absence is health's to tell.
type complaint struct {
	mu   sync.Mutex
	said bool
}

func (c *complaint) note(log *slog.Logger, what string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case errors.Is(err, ErrGone), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
	case err != nil && !c.said:
		c.said = true
		log.Warn(what+" fails, will go on trying", "error", err)
	case err == nil && c.said:
		c.said = false
		log.Info(what + " works again")
	}
}
