package socketio

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"
)

// A BroadcastOperator addresses many sockets, in the whole cluster. It is a
// value: To, Except and the others return another one.
type BroadcastOperator struct {
	nsp *Namespace
	to  Target
}

// To adds rooms: sockets that are in any of them are addressed, once each.
func (b BroadcastOperator) To(rooms ...string) BroadcastOperator {
	b.to.Rooms = append(slices.Clone(b.to.Rooms), rooms...)
	return b
}

// In is To.
func (b BroadcastOperator) In(rooms ...string) BroadcastOperator { return b.To(rooms...) }

// Except leaves out the sockets that are in any of the rooms.
func (b BroadcastOperator) Except(rooms ...string) BroadcastOperator {
	b.to.Except = append(slices.Clone(b.to.Except), rooms...)
	return b
}

// Volatile lets sockets miss the event that can't take it at once.
func (b BroadcastOperator) Volatile() BroadcastOperator { b.to.Flags.Volatile = true; return b }

// Local leaves out other servers.
func (b BroadcastOperator) Local() BroadcastOperator { b.to.Flags.Local = true; return b }

// Timeout bounds the wait for acknowledgements; without it they are waited for
// until the context is done.
func (b BroadcastOperator) Timeout(d time.Duration) BroadcastOperator {
	b.to.Flags.Timeout = d
	return b
}

// targets are the namespaces to act in: those of a parent, or the one.
func (b BroadcastOperator) targets() []*Namespace {
	if b.nsp.match != nil {
		return b.nsp.server.children(b.nsp)
	}
	return []*Namespace{b.nsp}
}

func (b BroadcastOperator) each(f func(Adapter) error) error {
	for _, n := range b.targets() {
		if err := f(n.adapter); err != nil {
			return err
		}
	}
	return nil
}

// Emit sends an event. It is encoded once, and never blocks.
func (b BroadcastOperator) Emit(event string, args ...any) error {
	if slices.Contains(errReserved, event) {
		return ErrReserved
	}
	data := append(append(make([]any, 0, 1+len(args)), event), args...)
	return b.each(func(a Adapter) error { return a.Broadcast(data, b.to) })
}

// Send is Emit of the event "message".
func (b BroadcastOperator) Send(args ...any) error { return b.Emit("message", args...) }

// EmitWithAck sends an event and waits until all sockets have answered. If some
// haven't by the Timeout or when ctx is done, it returns the answers there are
// with ErrTimeout or ctx's error. A socket that disconnects is waited for too.
func (b BroadcastOperator) EmitWithAck(ctx context.Context, event string, args ...any) ([]Args, error) {
	if slices.Contains(errReserved, event) {
		return nil, ErrReserved
	}
	var cancel context.CancelFunc
	if b.to.Flags.Timeout > 0 {
		ctx, cancel = context.WithTimeoutCause(ctx, b.to.Flags.Timeout, ErrTimeout)
	} else {
		ctx, cancel = context.WithCancel(ctx)
	}
	defer cancel()

	var mu sync.Mutex
	var answers []Args
	clients, servers, expected := 0, 0, -1
	done := make(chan struct{})
	finished := false
	check := func() { // with mu locked
		if servers == expected && len(answers) == clients && !finished {
			finished = true
			close(done)
		}
	}
	data := append([]any{event}, args...)
	total := 0
	for _, n := range b.targets() {
		err := n.adapter.BroadcastWithAck(ctx, data, b.to, func(n int) {
			mu.Lock()
			servers++
			clients += n
			check()
			mu.Unlock()
		}, func(a Args) {
			mu.Lock()
			answers = append(answers, a)
			check()
			mu.Unlock()
		})
		if err != nil {
			return nil, err
		}
		count := 1
		if !b.to.Flags.Local {
			if count, err = n.adapter.ServerCount(ctx); err != nil {
				return nil, err
			}
		}
		total += count
	}
	mu.Lock()
	expected = total
	check()
	mu.Unlock()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	mu.Lock()
	defer mu.Unlock()
	return slices.Clone(answers), err
}

// FetchSockets returns the sockets, wherever they are.
func (b BroadcastOperator) FetchSockets(ctx context.Context) ([]*RemoteSocket, error) {
	var out []*RemoteSocket
	for _, n := range b.targets() {
		all, err := n.adapter.FetchSockets(ctx, b.to)
		if err != nil {
			return nil, err
		}
		for _, d := range all {
			out = append(out, &RemoteSocket{SocketDetails: d, nsp: n})
		}
	}
	return out, nil
}

// SocketsJoin adds the sockets to rooms.
func (b BroadcastOperator) SocketsJoin(rooms ...string) error {
	return b.each(func(a Adapter) error { return a.AddSockets(b.to, rooms) })
}

// SocketsLeave takes the sockets out of rooms.
func (b BroadcastOperator) SocketsLeave(rooms ...string) error {
	return b.each(func(a Adapter) error { return a.DelSockets(b.to, rooms) })
}

// DisconnectSockets disconnects the sockets, as Socket.Disconnect does.
func (b BroadcastOperator) DisconnectSockets(closeConnection bool) error {
	return b.each(func(a Adapter) error { return a.DisconnectSockets(b.to, closeConnection) })
}

// A RemoteSocket is a socket of any server of the cluster, as it was when it
// was fetched.
type RemoteSocket struct {
	SocketDetails
	nsp *Namespace
}

func (r *RemoteSocket) operator() BroadcastOperator { return r.nsp.To(r.ID) }

// Emit sends an event to the socket.
func (r *RemoteSocket) Emit(event string, args ...any) error {
	return r.operator().Emit(event, args...)
}

// EmitWithAck sends an event and waits for the acknowledgement.
func (r *RemoteSocket) EmitWithAck(ctx context.Context, event string, args ...any) (Args, error) {
	all, err := r.operator().EmitWithAck(ctx, event, args...)
	if err == nil && len(all) == 0 {
		err = ErrDisconnected
	}
	if err != nil {
		return Args{}, err
	}
	return all[0], nil
}

// Join, Leave and Disconnect act on the socket.
func (r *RemoteSocket) Join(rooms ...string) error  { return r.operator().SocketsJoin(rooms...) }
func (r *RemoteSocket) Leave(rooms ...string) error { return r.operator().SocketsLeave(rooms...) }
func (r *RemoteSocket) Disconnect(closeConnection bool) error {
	return r.operator().DisconnectSockets(closeConnection)
}

// BindData decodes what was Set on the socket.
func (r *RemoteSocket) BindData(into any) error { return json.Unmarshal(r.Data, into) }
