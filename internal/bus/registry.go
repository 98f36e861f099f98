package bus

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"
)

const (
	tableAge   = time.Second     // older tables are read again before they are used
	unknownAge = time.Second     // how long an id that nobody knew stays unknown unasked
	unknownMax = 4096            // such ids remembered: they come from forged sids
	outageKeep = 5 * time.Second // workers get this long to register again after an outage
)

// Registry answers who is registered. It keeps a table that it reads again
// when it is asked and the table is older than a second; while the bus is away
// the last table answers, so that sessions go on. It has no goroutine of its
// own when nobody asks.
type Registry struct {
	bus    *Bus
	flight singleflight.Group
	direct *rate.Limiter // single look-ups, which forged ids would cause

	mu      sync.Mutex
	table   map[string]Worker
	read    time.Time            // when the table was last read
	epoch   string               // of the data the table came from
	failed  bool                 // the last reading failed
	keep    time.Time            // until then the table only grows
	unknown map[string]time.Time // id to when it was not there
}

// Registry returns a new view of the registry. A process needs one.
func (b *Bus) Registry() *Registry {
	return &Registry{
		bus:     b,
		direct:  rate.NewLimiter(50, 100),
		table:   map[string]Worker{},
		unknown: map[string]time.Time{},
	}
}

// Lookup tells where the worker named id is. It may ask the server, for two
// seconds at the most, and it does so rarely for ids that nobody has: they come
// from outside.
func (r *Registry) Lookup(ctx context.Context, id string) (Worker, bool) {
	if !ValidWorkerID(id) {
		return Worker{}, false
	}
	id = strings.Clone(id) // it may be a piece of a long URL, which the table would keep
	r.fresh(ctx)
	r.mu.Lock()
	w, ok := r.table[id]
	asked := r.unknown[id]
	r.mu.Unlock()
	if ok || time.Since(asked) < unknownAge || !r.direct.Allow() {
		return w, ok
	}
	// The table may be a second old, the worker younger.
	v, _, _ := r.flight.Do("id "+id, func() (any, error) {
		w, err := r.one(ctx, id)
		r.mu.Lock()
		defer r.mu.Unlock()
		switch {
		case err == nil:
			r.table[id] = w
			return &w, nil
		case errors.Is(err, redis.Nil):
			if len(r.unknown) >= unknownMax {
				clear(r.unknown)
			}
			r.unknown[id] = time.Now()
		}
		return (*Worker)(nil), nil
	})
	if found := v.(*Worker); found != nil {
		return *found, true
	}
	return Worker{}, false
}

// List returns all workers known, by slot and id. When the server can't be
// asked it returns the last known ones and the error.
func (r *Registry) List(ctx context.Context) ([]Worker, error) {
	err := r.fresh(ctx)
	r.mu.Lock()
	all := slices.Collect(maps.Values(r.table))
	r.mu.Unlock()
	slices.SortFunc(all, func(a, b Worker) int { return cmp.Or(cmp.Compare(a.Slot, b.Slot), cmp.Compare(a.ID, b.ID)) })
	return all, err
}

// fresh reads the table unless it is fresh. While the bus is known to be gone
// nobody waits for that: the table answers as it is.
func (r *Registry) fresh(ctx context.Context) error {
	r.mu.Lock()
	age := time.Since(r.read)
	r.mu.Unlock()
	if age < tableAge {
		return nil
	}
	// Readers share one reading, which must not end with the first one's request.
	done := r.flight.DoChan("table", func() (any, error) { return nil, r.reload(context.WithoutCancel(ctx)) })
	if !r.bus.Up() {
		return ErrGone
	}
	select {
	case res := <-done:
		return res.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Registry) reload(ctx context.Context) error {
	table, epoch, err := r.all(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.failed = true
		return err
	}
	now := time.Now()
	if r.failed || epoch != r.epoch && r.epoch != "" {
		// Leases ran out while the server was away, or went with its data;
		// the workers live and register again in a moment.
		r.keep = now.Add(outageKeep)
	}
	r.failed, r.epoch, r.read = false, epoch, now
	if now.Before(r.keep) {
		maps.Copy(r.table, table)
	} else {
		r.table = table
	}
	return nil
}

// all reads every lease, and the epoch of the data.
func (r *Registry) all(ctx context.Context) (table map[string]Worker, epoch string, err error) {
	table = map[string]Worker{}
	err = r.bus.do(ctx, callLimit, func(ctx context.Context) error {
		var ids *redis.StringSliceCmd
		var age *redis.StringCmd
		_, err := r.bus.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			ids, age = p.SMembers(ctx, workersKey), p.Get(ctx, epochKey)
			return nil
		})
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		epoch = age.Val()
		if len(ids.Val()) == 0 {
			return nil
		}
		keys := make([]string, len(ids.Val()))
		for i, id := range ids.Val() {
			keys[i] = leaseKey(id)
		}
		leases, err := r.bus.client.MGet(ctx, keys...).Result()
		if err != nil {
			return err
		}
		for _, l := range leases {
			var w Worker
			if text, ok := l.(string); ok && json.Unmarshal([]byte(text), &w) == nil {
				table[w.ID] = w
			}
		}
		return nil
	})
	if err != nil {
		err = fmt.Errorf("read the registry: %w", err)
	}
	return table, epoch, err
}

func (r *Registry) one(ctx context.Context, id string) (w Worker, err error) {
	err = r.bus.do(context.WithoutCancel(ctx), callLimit, func(ctx context.Context) error {
		text, err := r.bus.client.Get(ctx, leaseKey(id)).Bytes()
		if err != nil {
			return err
		}
		return json.Unmarshal(text, &w)
	})
	return w, err
}
