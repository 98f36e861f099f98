package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Worker is what others must know to reach a worker's sessions.
type Worker struct {
	ID       string `json:"id"` // see [ValidWorkerID]; one living worker has it at a time
	Slot     int    `json:"slot"`
	Host     string `json:"host"`
	Addr     string `json:"addr"`   // where it takes forwarded requests: "unix:/path" or "host:port"
	Secret   string `json:"secret"` // what a forwarder shows there
	PID      int    `json:"pid"`
	Port     int    `json:"port"` // the number it is named by
	Strategy string `json:"strategy"`

	// Lasting workers are followed by a successor of the same ID, Addr and
	// Secret: they are not taken out of the registry at their end, so that
	// nobody learns in between that there is no such worker.
	Lasting bool `json:"-"`
}

// unregisterScript removes a lease unless a successor has taken it over.
var unregisterScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SREM', KEYS[2], ARGV[2])
return redis.call('DEL', KEYS[1])
`)

// Announce puts w into the registry once. Call it before w hands out its first
// sid, [Bus.Register] after it.
func (b *Bus) Announce(ctx context.Context, w Worker) error {
	value, err := json.Marshal(w)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return b.renew(ctx, w.ID, value)
}

// Register keeps w in the registry until ctx is done, and takes it out then.
// Others know w about 10 s longer than it lives when it dies without that.
// While the bus is away it goes on trying; it registers anew as soon as the
// bus is back. The error is non-nil only for a w that cannot be registered.
func (b *Bus) Register(ctx context.Context, w Worker) error {
	if !ValidWorkerID(w.ID) {
		return fmt.Errorf("register a worker: id %q is not 1 to 64 letters, digits, - and _", w.ID)
	}
	value, err := json.Marshal(w)
	if err != nil {
		return fmt.Errorf("register worker %s: %w", w.ID, err)
	}
	var failing complaint
	var retry Pause
	for ctx.Err() == nil {
		back := b.health.returned() // before the attempt: a return during it is not missed
		err := b.renew(ctx, w.ID, value)
		failing.note(b.log, "registering this worker", err)
		if err != nil {
			retry.Wait(ctx, back)
			continue
		}
		retry.Reset()
		t := time.NewTimer(b.refresh)
		select {
		case <-ctx.Done():
		case <-t.C:
		case <-back: // perhaps without its data
		}
		t.Stop()
	}
	if !w.Lasting {
		b.unregister(w.ID, value)
	}
	return nil
}

func (b *Bus) renew(ctx context.Context, id string, value []byte) error {
	return b.do(ctx, callLimit, func(ctx context.Context) error {
		return b.together(ctx, func(p redis.Pipeliner) {
			p.Set(ctx, leaseKey(id), value, b.lease)
			p.SAdd(ctx, workersKey, id)
		})
	})
}

// unregister runs after the worker's context has ended, so it has a short one
// of its own; when it fails the lease runs out.
func (b *Bus) unregister(id string, value []byte) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = b.do(ctx, time.Second, func(ctx context.Context) error {
		return unregisterScript.Run(ctx, b.client, []string{leaseKey(id), workersKey}, value, id).Err()
	})
}
