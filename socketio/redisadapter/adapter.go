// Package redisadapter is the Adapter of package socketio for clusters, over
// Redis Pub/Sub. It reads and writes the messages of npm's
// @socket.io/redis-adapter, so that Node servers and emitters can be part of
// the cluster.
package redisadapter

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/samedoor/samedoor/socketio"
	"github.com/samedoor/samedoor/socketio/engine"
)

// Options of an adapter. The zero value of each field means its default.
type Options struct {
	Key             string        // prefix of channels; "socket.io"
	RequestsTimeout time.Duration // for other servers' answers; 5 s
	Logger          *slog.Logger  // default: nobody
}

// New returns what to set as socketio.Options.Adapter.
func New(client redis.UniversalClient, o Options) func(*socketio.Namespace) socketio.Adapter {
	if o.Key == "" {
		o.Key = "socket.io"
	}
	if o.RequestsTimeout <= 0 {
		o.RequestsTimeout = 5 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	h := newHub(client, o.Logger)
	return func(n *socketio.Namespace) socketio.Adapter {
		a := &Adapter{
			MemoryAdapter: socketio.NewMemoryAdapter(n), nsp: n, hub: h, opts: o, uid: engine.NewID()[:6],
			requests: map[string]*request{},
		}
		a.channel = o.Key + "#" + n.Name() + "#"
		a.request = o.Key + "-request#" + n.Name() + "#"
		a.response = o.Key + "-response#" + n.Name() + "#"
		h.add(a.pattern(), a.channels(), a.onBroadcast, a.onMessage)
		return a
	}
}

// An Adapter is a namespace's.
type Adapter struct {
	*socketio.MemoryAdapter
	nsp                        *socketio.Namespace
	hub                        *hub
	opts                       Options
	uid                        string
	channel, request, response string

	mu       sync.Mutex
	requests map[string]*request
}

// A request is one of ours that other servers answer.
type request struct {
	count   func(int)
	ack     func(socketio.Args)
	answers chan answer
}

func (a *Adapter) channels() []string {
	return []string{a.request, a.response, a.response + a.uid + "#"}
}

var escapeGlob = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

func (a *Adapter) pattern() string { return escapeGlob.Replace(a.channel) + "*" }

// Close ends the subscriptions.
func (a *Adapter) Close() { a.hub.remove(a.pattern(), a.channels()) }

// plain makes data what JSON would, with bytes left as they are.
func plain(data []any) []any { return socketio.MakeArgs(data...).All() }

func rawTarget(to socketio.Target) map[string]any {
	flags := map[string]any{}
	if to.Flags.Volatile {
		flags["volatile"] = true
	}
	if to.Flags.Timeout > 0 {
		flags["timeout"] = int(to.Flags.Timeout.Milliseconds())
	}
	return map[string]any{"rooms": list(to.Rooms), "except": list(to.Except), "flags": flags}
}

func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func (a *Adapter) packet(data []any) map[string]any {
	return map[string]any{"type": 2, "data": plain(data), "nsp": a.nsp.Name()}
}

// Broadcast sends to this server's sockets, and to the others' by and by.
func (a *Adapter) Broadcast(data []any, to socketio.Target) error {
	if err := a.MemoryAdapter.Broadcast(data, to); err != nil {
		return err
	}
	if !to.Flags.Local {
		channel := a.channel
		if len(to.Rooms) == 1 {
			channel += to.Rooms[0] + "#"
		}
		a.hub.publish(channel, appendMsgpack(nil, []any{a.uid, a.packet(data), rawTarget(to)}))
	}
	return nil
}

// onBroadcast sends what another server broadcasts.
func (a *Adapter) onBroadcast(channel string, msg []byte) {
	if room := strings.TrimSuffix(strings.TrimPrefix(channel, a.channel), "#"); room != "" && !a.Has(room) {
		return
	}
	v, err := parseMsgpack(msg)
	m, _ := v.([]any)
	if err != nil || len(m) < 3 || m[0] == a.uid {
		return
	}
	packet, _ := m[1].(map[string]any)
	if nsp, ok := packet["nsp"].(string); ok && nsp != a.nsp.Name() {
		return
	}
	if data := event(packet); data != nil {
		if err := a.MemoryAdapter.Broadcast(data, target(m[2])); err != nil {
			a.opts.Logger.Warn("redisadapter: broadcast", "error", err)
		}
	}
}

// event is a packet's name and arguments, or nil.
func event(packet map[string]any) []any {
	data, _ := packet["data"].([]any)
	if len(data) == 0 {
		return nil
	}
	if _, ok := data[0].(string); !ok {
		return nil
	}
	return data
}

func target(v any) (to socketio.Target) {
	m, _ := v.(map[string]any)
	to.Rooms, to.Except = texts(m["rooms"]), texts(m["except"])
	flags, _ := m["flags"].(map[string]any)
	to.Flags.Volatile, _ = flags["volatile"].(bool)
	if ms, ok := flags["timeout"].(float64); ok && ms > 0 && ms < 1e9 {
		to.Flags.Timeout = time.Duration(ms) * time.Millisecond
	}
	return to
}

// texts reads room names, which in Node may be numbers.
func texts(v any) (out []string) {
	all, _ := v.([]any)
	for _, e := range all {
		switch e := e.(type) {
		case string:
			out = append(out, e)
		case float64:
			b, _ := json.Marshal(e)
			out = append(out, string(b))
		}
	}
	return out
}

// ServerCount counts the subscribers of the request channel.
func (a *Adapter) ServerCount(ctx context.Context) (int, error) {
	n, err := a.hub.client.PubSubNumSub(ctx, a.request).Result()
	if err != nil {
		return 0, fmt.Errorf("redisadapter: count servers: %w", err)
	}
	return max(1, int(n[a.request])), nil
}
