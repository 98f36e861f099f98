package redisadapter

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// A hub shares one subscription and one publisher among a server's namespaces.
// Nobody who emits waits for Redis: what is published is queued, and dropped
// when Redis is away, as those who are not subscribed then miss it anyway.
type hub struct {
	client redis.UniversalClient
	log    *slog.Logger

	mu      sync.Mutex
	routes  map[string]func(channel string, msg []byte) // by channel or pattern
	sub     *redis.PubSub
	stop    context.CancelFunc
	ctx     context.Context
	queue   []func(redis.Pipeliner)
	waiting chan struct{} // has one element if queue or changes is not empty
	changes []change
	lost    int
}

// change is a subscription to begin or end.
type change struct {
	pattern  string
	channels []string
	end      bool
}

// maxQueue bounds what waits for Redis, in messages.
const maxQueue = 10_000

func newHub(client redis.UniversalClient, log *slog.Logger) *hub {
	return &hub{client: client, log: log, routes: map[string]func(string, []byte){}, waiting: make(chan struct{}, 1)}
}

// add routes a pattern and channels.
func (h *hub) add(pattern string, channels []string, onPattern, onChannel func(string, []byte)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.routes[pattern] = onPattern
	for _, c := range channels {
		h.routes[c] = onChannel
	}
	if h.sub == nil {
		h.ctx, h.stop = context.WithCancel(context.Background())
		h.sub = h.client.Subscribe(h.ctx)
		go h.receive(h.ctx, h.sub)
		go h.send(h.ctx, h.sub)
	}
	h.changes = append(h.changes, change{pattern, channels, false})
	h.wake()
}

// remove ends what add began; the last one ends the hub's goroutines.
func (h *hub) remove(pattern string, channels []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.routes, pattern)
	for _, c := range channels {
		delete(h.routes, c)
	}
	if len(h.routes) == 0 {
		if h.sub != nil {
			h.stop()
			go h.sub.Close() // may wait for the network
			h.sub = nil
		}
		h.changes, h.queue = nil, nil
		return
	}
	h.changes = append(h.changes, change{pattern, channels, true})
	h.wake()
}

func (h *hub) wake() {
	select {
	case h.waiting <- struct{}{}:
	default:
	}
}

// publish queues a message.
func (h *hub) publish(channel string, msg []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sub == nil || len(h.queue) >= maxQueue {
		h.lost++
		return
	}
	h.queue = append(h.queue, func(p redis.Pipeliner) { p.Publish(h.ctx, channel, msg) })
	h.wake()
}

func (h *hub) send(ctx context.Context, sub *redis.PubSub) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.waiting:
		}
		h.mu.Lock()
		changes, queue := h.changes, h.queue
		h.changes, h.queue = nil, nil
		h.mu.Unlock()
		for _, c := range changes { // what fails is remembered by sub, for when it connects
			if c.end {
				_ = sub.PUnsubscribe(ctx, c.pattern)
				_ = sub.Unsubscribe(ctx, c.channels...)
			} else {
				_ = sub.Subscribe(ctx, c.channels...)
				_ = sub.PSubscribe(ctx, c.pattern)
			}
		}
		if len(queue) == 0 {
			continue
		}
		pipe := h.client.Pipeline()
		for _, f := range queue {
			f(pipe)
		}
		if _, err := pipe.Exec(ctx); err != nil && ctx.Err() == nil {
			h.log.Warn("redisadapter: not published", "messages", len(queue), "error", err)
		}
	}
}

func (h *hub) receive(ctx context.Context, sub *redis.PubSub) {
	const shortest = 50 * time.Millisecond
	wait := shortest
	for {
		m, err := sub.ReceiveMessage(ctx) // connects and subscribes again if need be
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			h.log.Warn("redisadapter: not subscribed", "error", err, "next", wait)
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
			wait = min(2*wait, 5*time.Second)
			continue
		}
		wait = shortest
		key := m.Channel
		if m.Pattern != "" {
			key = m.Pattern
		}
		h.mu.Lock()
		f := h.routes[key]
		h.mu.Unlock()
		if f != nil {
			f(m.Channel, []byte(m.Payload))
		}
	}
}
