package worker

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"

	"github.com/samedoor/samedoor/internal/chat"
)

// The Socket.IO servers that --engine and /cluster name.
const (
	Native  = "native"     // our own: package socketio
	Library = "zishang520" // github.com/zishang520/socket.io, for comparison
)

// Engines lists them.
var Engines = []string{Native, Library}

// An engine is the Socket.IO server beneath a worker: all that differs between
// ours and the library. It calls [Worker.connected] for each socket, and
// records the requests it serves.
type engine interface {
	http.Handler         // requests that begin a session, and those of sessions it has
	has(sid string) bool // by the sid that the client shows
	sessions() int
	close() // ends all sessions; their clients reconnect

	// drain is close, and waits until the clients know or ctx is done.
	drain(ctx context.Context)
	nudge(sid string) // lets its client poll again
}

// A clientSocket is a client in a namespace, as either engine has it.
type clientSocket interface {
	chat.Client
	sid() string  // of its Engine.IO session
	addr() string // host:port of the true client, when the session began
	auth() any    // what the client said when it connected, decoded
	// on and onLeave set handlers; ack is nil when the client wants none.
	on(event string, f func(args []any, ack func(...any)))
	onLeave(f func(reason string))
}

// connected is what the application does with a socket that has joined a
// namespace.
func (w *Worker) connected(ns string, s clientSocket) {
	w.sockets.Add(1)
	var member *chat.Member
	if ns == "/" {
		member = w.hub.Join(s, s.auth())
		s.on("chat", func(args []any, ack func(...any)) {
			if ack == nil {
				member.Chat(args, nil)
				return
			}
			member.Chat(args, func(v any) { ack(v) })
		})
		s.on("typing", func(args []any, _ func(...any)) { member.Typing(args) })
	}
	s.on("b:message", func([]any, func(...any)) {
		var port any = w.port()
		if ns == "/" {
			port = "/: " + itoa(w.port())
		}
		s.Emit("s:message", port, map[string]any{
			"slot": w.boot.Slot, "worker": w.boot.ID, "pid": pid, "strategy": w.info.Name,
		})
	})
	s.on("echo", func(args []any, ack func(...any)) {
		if ack != nil {
			ack(args...)
		}
	})
	var once sync.Once
	s.onLeave(func(reason string) {
		once.Do(func() {
			w.sockets.Add(-1)
			if member != nil {
				member.Leave()
			}
			w.log.Info("disconnect", "namespace", ns, "sid", s.sid(), "client", hostOnly(s.addr()), "reason", reason)
		})
	})
}

// decoded returns JSON as plain values; nil if it is none.
func decoded(raw json.RawMessage) (v any) {
	_ = json.Unmarshal(raw, &v)
	return v
}
