package worker

import (
	"strconv"
	"sync"

	"github.com/samedoor/samedoor/internal/chat"
	"github.com/samedoor/samedoor/internal/engines"
	"github.com/samedoor/samedoor/internal/origin"
)

// connected is what the application does with a socket that has joined a
// namespace.
func (w *Worker) connected(ns string, s engines.Socket) {
	w.sockets.Add(1)
	var member *chat.Member
	if ns == "/" {
		member = w.hub.Join(s, s.Auth())
		s.On("chat", func(args []any, ack func(...any)) {
			if ack == nil {
				member.Chat(args, nil)
				return
			}
			member.Chat(args, func(v any) { ack(v) })
		})
		s.On("typing", func(args []any, _ func(...any)) { member.Typing(args) })
	}
	s.On("b:message", func([]any, func(...any)) {
		var port any = w.port()
		if ns == "/" {
			port = "/: " + strconv.Itoa(w.port())
		}
		s.Emit("s:message", port, map[string]any{
			"slot": w.boot.Slot, "worker": w.boot.ID, "pid": pid, "strategy": w.info.Name,
		})
	})
	s.On("echo", func(args []any, ack func(...any)) {
		if ack != nil {
			ack(args...)
		}
	})
	var once sync.Once
	s.OnLeave(func(reason string) {
		once.Do(func() {
			w.sockets.Add(-1)
			if member != nil {
				member.Leave()
			}
			w.log.Info("disconnect", "namespace", ns, "sid", s.SID(), "client", origin.Host(s.Addr()), "reason", reason)
		})
	})
}
