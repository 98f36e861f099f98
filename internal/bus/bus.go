// Package bus carries what workers must tell one another, over the Redis
// protocol: who holds which sessions (the registry), chat messages (one stream
// per room) and who is in a room (presence). The server is an embedded one
// ([StartEmbedded]) or any Redis or Valkey a URL names ([Open]).
//
// Nothing here outlives its context, and nothing waits long for a server that
// is gone: calls fail with [ErrGone] within about two seconds, at once when the
// bus is known to be away, and every loop asks again calmly until it is back.
//
// All keys carry the hash tag {samedoor}, so that scripts and reads over
// several keys work on a Redis Cluster too.
package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	dialLimit = time.Second     // a host that swallows packets is given up after this
	callLimit = 2 * time.Second // one command, dialling included

	// A caller with less time than this left is not tried for: that it comes
	// to nothing would be taken for the bus's absence.
	tooLate = 50 * time.Millisecond
)

// Bus is a connection (a pool of them) to the server. It is safe for
// concurrent use.
type Bus struct {
	client redis.UniversalClient
	log    *slog.Logger
	health *health

	storing complaint

	// How long a worker is believed to be there after its last sign of life,
	// and how often it gives one.
	lease, refresh time.Duration
}

// Open prepares a bus from a URL; it does not connect yet, see [Bus.Ping].
//
// redis://, rediss:// and unix:// name one server. With one or more addr
// parameters (redis://a:6379?addr=b:6379) they name the nodes of a Cluster, and
// with master_name a Sentinel group, as go-redis reads them. The error is one
// line that says what to do and holds no password.
func Open(rawURL string, log *slog.Logger) (*Bus, error) {
	client, err := newClient(rawURL)
	if err != nil {
		return nil, err
	}
	quiet.Do(func() { redis.SetLogger(clientLog{log}) })
	return &Bus{
		client:  client,
		log:     log,
		health:  newHealth(log, place(rawURL)),
		lease:   10 * time.Second,
		refresh: 3 * time.Second,
	}, nil
}

// Ping asks the server for a sign of life.
func (b *Bus) Ping(ctx context.Context) error {
	return b.do(ctx, callLimit, func(ctx context.Context) error { return b.client.Ping(ctx).Err() })
}

// Up reports whether the server answered when it was last asked.
func (b *Bus) Up() bool { return b.health.up() }

// Close gives up all connections. Calls made later fail.
func (b *Bus) Close() error { return b.client.Close() }

// do runs one call with a limit, unless the bus is known to be gone, and keeps
// account of whether it is. The error wraps ErrGone when it was the bus's
// absence and not the call itself.
func (b *Bus) do(ctx context.Context, limit time.Duration, call func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if due, ok := ctx.Deadline(); ok && time.Until(due) < tooLate {
		return context.DeadlineExceeded
	}
	if !b.health.allow() {
		return ErrGone
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := call(limited)
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err() // we left, which says nothing about the bus
	}
	return b.health.note(err)
}

// together queues commands that take effect all at once or not at all.
func (b *Bus) together(ctx context.Context, queue func(redis.Pipeliner)) error {
	done, err := b.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		queue(p)
		return nil
	})
	for _, c := range done {
		// EXECABORT says that some command was refused; that command says why.
		if c.Err() != nil && !redis.HasErrorPrefix(c.Err(), "EXECABORT") {
			return c.Err()
		}
	}
	return err
}

// newClient sets what every kind of client needs: short timeouts that a
// context can shorten further, one retry, and nothing but the plain protocol,
// which Redis, Valkey and the embedded server all speak.
func newClient(rawURL string) (redis.UniversalClient, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, errURL
	}
	switch u.Scheme {
	case "redis", "rediss", "unix":
	default:
		return nil, fmt.Errorf("%w; its scheme is %q", errURL, u.Scheme)
	}
	plain := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	switch q := u.Query(); {
	case q.Has("master_name"):
		o, err := redis.ParseFailoverURL(rawURL)
		if err != nil {
			return nil, badURL(err)
		}
		o.Protocol, o.DisableIdentity, o.ContextTimeoutEnabled = 2, true, true
		o.MaxRetries, o.DialerRetries = 1, 1
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout = dialLimit, callLimit, callLimit
		return redis.NewFailoverClient(o), nil
	case q.Has("addr"):
		o, err := redis.ParseClusterURL(rawURL)
		if err != nil {
			return nil, badURL(err)
		}
		o.Protocol, o.DisableIdentity, o.ContextTimeoutEnabled, o.MaintNotificationsConfig = 2, true, true, plain
		o.MaxRetries, o.DialerRetries = 1, 1
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout = dialLimit, callLimit, callLimit
		return redis.NewClusterClient(o), nil
	default:
		o, err := redis.ParseURL(rawURL)
		if err != nil {
			return nil, badURL(err)
		}
		o.Protocol, o.DisableIdentity, o.ContextTimeoutEnabled, o.MaintNotificationsConfig = 2, true, true, plain
		o.MaxRetries, o.DialerRetries = 1, 1
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout = dialLimit, callLimit, callLimit
		return redis.NewClient(o), nil
	}
}

// quiet guards go-redis' logger, which is one for the whole process: the first
// bus takes it, and what it says is for those who debug.
var quiet sync.Once

type clientLog struct{ log *slog.Logger }

func (l clientLog) Printf(ctx context.Context, format string, v ...any) {
	l.log.DebugContext(ctx, "redis client", "says", strings.TrimSpace(fmt.Sprintf(format, v...)))
}
