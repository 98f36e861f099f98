package socketio

import (
	"context"
	"encoding/json"
	"net"
	"net/url"
	"time"
)

func (a *MemoryAdapter) Broadcast(data []any, to Target) error {
	_, err := a.send(noID, data, to, nil)
	return err
}

// send encodes and frames once, for all receivers.
func (a *MemoryAdapter) send(id uint64, data []any, to Target, ask *ack) ([]*Socket, error) {
	event, _ := data[0].(string)
	packets, err := encode(typeEvent, a.nsp.name, id, &event, data[1:])
	if err != nil {
		return nil, err
	}
	sockets := a.Sockets(to)
	if ask != nil { // before the first may answer
		n := 0
		for _, s := range sockets {
			if s.expect(id, ask) {
				sockets[n] = s
				n++
			}
		}
		sockets = sockets[:n]
	}
	for _, s := range sockets {
		s.outgoing(event, data[1:])
		if !to.Flags.Volatile || s.client.sess.Writable() {
			_ = s.client.sess.Send(packets...) // those who are gone miss it
		}
	}
	return sockets, nil
}

// outgoing calls the handlers of OnAnyOutgoing.
func (s *Socket) outgoing(event string, args []any) {
	s.mu.Lock()
	hs := s.handlers
	s.mu.Unlock()
	for i := range hs {
		if hs[i].kind == kindAnyOutgoing {
			s.nsp.server.contain("OnAnyOutgoing", func() { hs[i].out(event, args) })
		}
	}
}

func (a *MemoryAdapter) BroadcastWithAck(ctx context.Context, data []any, to Target, count func(int), f func(Args)) error {
	id := a.nsp.ids.Add(1)
	ask := &ack{many: true, f: func(args Args, _ error) { f(args) }}
	sockets, err := a.send(id, data, to, ask)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() {
		for _, s := range sockets {
			s.forgetAck(id)
		}
	})
	count(len(sockets))
	for _, s := range sockets {
		s.client.sess.Handoff() // one of their handlers may be what waits
	}
	return nil
}

func (a *MemoryAdapter) ServerCount(context.Context) (int, error) { return 1, nil }

func (a *MemoryAdapter) FetchSockets(_ context.Context, to Target) ([]SocketDetails, error) {
	sockets := a.Sockets(to)
	out := make([]SocketDetails, len(sockets))
	for i, s := range sockets {
		out[i] = s.details()
	}
	return out, nil
}

func (a *MemoryAdapter) AddSockets(to Target, rooms []string) error {
	for _, s := range a.Sockets(to) {
		s.Join(rooms...)
	}
	return nil
}

func (a *MemoryAdapter) DelSockets(to Target, rooms []string) error {
	for _, s := range a.Sockets(to) {
		s.Leave(rooms...)
	}
	return nil
}

func (a *MemoryAdapter) DisconnectSockets(to Target, closeConnection bool) error {
	for _, s := range a.Sockets(to) {
		s.Disconnect(closeConnection)
	}
	return nil
}

func (a *MemoryAdapter) ServerSideEmit([]any) error { return ErrNotSupported }

func (a *MemoryAdapter) ServerSideEmitWithAck(context.Context, []any) ([]any, error) {
	return nil, ErrNotSupported
}

func (a *MemoryAdapter) Close() {}

// details describe the socket as Node would.
func (s *Socket) details() SocketDetails {
	h := s.handshake
	headers := map[string]string{}
	for k, v := range h.Header {
		if len(v) > 0 {
			headers[lower(k)] = v[0]
		}
	}
	headers["host"] = h.Host
	query := map[string]string{}
	for k, v := range h.Query() {
		query[k] = v[0]
	}
	address, _, err := net.SplitHostPort(h.RemoteAddr)
	if err != nil {
		address = h.RemoteAddr
	}
	handshake, _ := json.Marshal(map[string]any{
		"headers": headers, "time": h.Time.Format(time.RFC1123), "address": address,
		"xdomain": h.Header.Get("Origin") != "", "secure": h.TLS, "issued": h.Time.UnixMilli(),
		"url": requestURI(h.URL), "query": query, "auth": h.Auth,
	})
	data, err := json.Marshal(s.Data())
	if err != nil || string(data) == "null" {
		data = json.RawMessage("{}")
	}
	return SocketDetails{ID: s.id, Handshake: handshake, Rooms: s.Rooms(), Data: data}
}

func requestURI(u *url.URL) string {
	if u == nil {
		return ""
	}
	return u.RequestURI()
}

func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
