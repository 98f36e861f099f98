package redisadapter

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/samedoor/samedoor/socketio"
	"github.com/samedoor/samedoor/socketio/engine"
)

// Types of requests and responses.
const (
	typeSockets = iota
	typeAllRooms
	typeJoin
	typeLeave
	typeDisconnect
	typeFetch
	typeServerSide
	typeBroadcast
	typeClientCount
	typeAck
)

// message is a request or response, in JSON or MessagePack.
type message struct {
	UID       string         `json:"uid,omitempty"`
	RequestID string         `json:"requestId,omitempty"`
	Type      int            `json:"type"`
	Opts      map[string]any `json:"opts,omitempty"`
	Rooms     []any          `json:"rooms,omitempty"`
	Close     bool           `json:"close,omitempty"`
	Data      any            `json:"data,omitempty"`

	SID    string         `json:"sid,omitempty"` // of old emitters' requests
	Room   string         `json:"room,omitempty"`
	Packet map[string]any `json:"-"`

	ClientCount int                      `json:"clientCount,omitempty"`
	Sockets     []socketio.SocketDetails `json:"sockets,omitempty"`
	Answer      any                      `json:"-"` // of typeAck: the packet
}

type answer struct {
	sockets []socketio.SocketDetails
	data    any
}

func parse(b []byte) (m message, err error) {
	if len(b) > 0 && b[0] == '{' {
		return m, json.Unmarshal(b, &m)
	}
	v, err := parseMsgpack(b)
	if err != nil {
		return m, err
	}
	f, ok := v.(map[string]any)
	if !ok {
		return m, errMsgpack
	}
	typ, _ := f["type"].(float64)
	m.Type = int(typ)
	m.UID, _ = f["uid"].(string)
	m.RequestID, _ = f["requestId"].(string)
	m.Opts, _ = f["opts"].(map[string]any)
	m.Packet, _ = f["packet"].(map[string]any)
	m.Answer = f["packet"]
	return m, nil
}

// onMessage takes requests and responses.
func (a *Adapter) onMessage(channel string, b []byte) {
	m, err := parse(b)
	switch {
	case err != nil:
		a.opts.Logger.Debug("redisadapter: malformed message", "channel", channel, "error", err)
	case channel == a.request:
		a.onRequest(m)
	default:
		a.onResponse(m)
	}
}

func (a *Adapter) onRequest(m message) {
	if m.UID == a.uid { // was done here when it was asked for
		return
	}
	local := a.MemoryAdapter
	to := target(m.Opts)
	if m.SID != "" && m.Opts == nil {
		to.Rooms = []string{m.SID}
		m.Rooms = []any{m.Room}
	}
	switch m.Type {
	case typeSockets:
		to.Rooms = texts(m.Rooms)
		ids := []string{}
		for _, s := range local.Sockets(to) {
			ids = append(ids, s.ID())
		}
		a.respond(map[string]any{"requestId": m.RequestID, "sockets": ids})
	case typeAllRooms:
		rooms := list(local.Rooms())
		for _, s := range local.Sockets(socketio.Target{}) {
			rooms = append(rooms, s.ID())
		}
		a.respond(map[string]any{"requestId": m.RequestID, "rooms": rooms})
	case typeJoin:
		_ = local.AddSockets(to, texts(m.Rooms))
	case typeLeave:
		_ = local.DelSockets(to, texts(m.Rooms))
	case typeDisconnect:
		go func() { _ = local.DisconnectSockets(to, m.Close) }() // runs handlers
	case typeFetch:
		all, _ := local.FetchSockets(context.Background(), to)
		if all == nil {
			all = []socketio.SocketDetails{}
		}
		a.respond(map[string]any{"requestId": m.RequestID, "sockets": all})
	case typeServerSide:
		a.serverSide(m)
	case typeBroadcast:
		a.broadcastFor(m, to)
	}
}

func (a *Adapter) serverSide(m message) {
	data, _ := m.Data.([]any)
	if len(data) == 0 {
		return
	}
	name, _ := data[0].(string)
	var ack func(any)
	if m.RequestID != "" {
		ack = func(v any) {
			a.respond(map[string]any{"type": typeServerSide, "requestId": m.RequestID, "data": v})
		}
	}
	// A handler of its own time: others' messages don't wait for it.
	go a.nsp.DeliverServerSide(name, socketio.MakeArgs(data[1:]...), ack)
}

// broadcastFor broadcasts for another server that wants acknowledgements.
func (a *Adapter) broadcastFor(m message, to socketio.Target) {
	data := event(m.Packet)
	if data == nil {
		return
	}
	timeout := to.Flags.Timeout
	if timeout <= 0 {
		timeout = time.Minute
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout+time.Second)
	time.AfterFunc(timeout+time.Second, cancel)
	err := a.MemoryAdapter.BroadcastWithAck(ctx, data, to, func(n int) {
		a.respond(map[string]any{"type": typeClientCount, "requestId": m.RequestID, "clientCount": n})
	}, func(args socketio.Args) {
		a.hub.publish(a.response, appendMsgpack(nil, map[string]any{
			"type": typeAck, "requestId": m.RequestID, "packet": args.Any(0),
		}))
	})
	if err != nil {
		a.opts.Logger.Warn("redisadapter: broadcast", "error", err)
	}
}

func (a *Adapter) respond(v map[string]any) { a.publish(a.response, v) }

func (a *Adapter) publish(channel string, v map[string]any) {
	b, err := json.Marshal(v)
	if err != nil {
		a.opts.Logger.Warn("redisadapter: publish", "error", err)
		return
	}
	a.hub.publish(channel, b)
}

func (a *Adapter) onResponse(m message) {
	a.mu.Lock()
	r := a.requests[m.RequestID]
	a.mu.Unlock()
	switch {
	case r == nil:
	case m.Type == typeClientCount && r.count != nil:
		r.count(m.ClientCount)
	case m.Type == typeAck && r.ack != nil:
		r.ack(socketio.MakeArgs(m.Answer))
	case r.answers != nil:
		select {
		case r.answers <- answer{m.Sockets, m.Data}:
		default: // more answers than servers
		}
	}
}

// ask registers a request under a new id, until forget is called.
func (a *Adapter) ask(r *request) (id string, forget func()) {
	id = engine.NewID()
	a.mu.Lock()
	a.requests[id] = r
	a.mu.Unlock()
	return id, func() {
		a.mu.Lock()
		delete(a.requests, id)
		a.mu.Unlock()
	}
}

// others asks the other servers, and gathers their answers. It returns those
// that there are, and an error if some are missing.
func (a *Adapter) others(ctx context.Context, v map[string]any) ([]answer, error) {
	ctx, cancel := context.WithTimeout(ctx, a.opts.RequestsTimeout)
	defer cancel()
	n, err := a.ServerCount(ctx)
	if err != nil || n <= 1 {
		return nil, err
	}
	r := &request{answers: make(chan answer, n)}
	id, forget := a.ask(r)
	defer forget()
	v["uid"], v["requestId"] = a.uid, id
	a.publish(a.request, v)
	var out []answer
	for len(out) < n-1 {
		select {
		case x := <-r.answers:
			out = append(out, x)
		case <-ctx.Done():
			return out, fmt.Errorf("redisadapter: %d of %d servers answered: %w", len(out), n-1, ctx.Err())
		}
	}
	return out, nil
}

// BroadcastWithAck: see socketio.Adapter.
func (a *Adapter) BroadcastWithAck(ctx context.Context, data []any, to socketio.Target, count func(int), ack func(socketio.Args)) error {
	if !to.Flags.Local {
		id, forget := a.ask(&request{count: count, ack: ack})
		context.AfterFunc(ctx, forget)
		a.hub.publish(a.request, appendMsgpack(nil, map[string]any{
			"uid": a.uid, "requestId": id, "type": typeBroadcast, "packet": a.packet(data), "opts": rawTarget(to),
		}))
	}
	return a.MemoryAdapter.BroadcastWithAck(ctx, data, to, count, ack)
}

// FetchSockets returns what answers came in time, and an error if some did not.
func (a *Adapter) FetchSockets(ctx context.Context, to socketio.Target) ([]socketio.SocketDetails, error) {
	all, err := a.MemoryAdapter.FetchSockets(ctx, to)
	if err != nil || to.Flags.Local {
		return all, err
	}
	answers, err := a.others(ctx, map[string]any{"type": typeFetch, "opts": rawTarget(to)})
	for _, x := range answers {
		all = append(all, x.sockets...)
	}
	return all, err
}

func (a *Adapter) AddSockets(to socketio.Target, rooms []string) error {
	a.tell(to, map[string]any{"type": typeJoin, "rooms": list(rooms)})
	return a.MemoryAdapter.AddSockets(to, rooms)
}

func (a *Adapter) DelSockets(to socketio.Target, rooms []string) error {
	a.tell(to, map[string]any{"type": typeLeave, "rooms": list(rooms)})
	return a.MemoryAdapter.DelSockets(to, rooms)
}

func (a *Adapter) DisconnectSockets(to socketio.Target, closeConnection bool) error {
	a.tell(to, map[string]any{"type": typeDisconnect, "close": closeConnection})
	return a.MemoryAdapter.DisconnectSockets(to, closeConnection)
}

func (a *Adapter) tell(to socketio.Target, v map[string]any) {
	if !to.Flags.Local {
		v["uid"], v["opts"] = a.uid, rawTarget(to)
		a.publish(a.request, v)
	}
}

func (a *Adapter) ServerSideEmit(data []any) error {
	a.publish(a.request, map[string]any{"uid": a.uid, "type": typeServerSide, "data": data})
	return nil
}

func (a *Adapter) ServerSideEmitWithAck(ctx context.Context, data []any) ([]any, error) {
	answers, err := a.others(ctx, map[string]any{"type": typeServerSide, "data": data})
	out := make([]any, len(answers))
	for i, x := range answers {
		out[i] = x.data
	}
	return out, err
}
