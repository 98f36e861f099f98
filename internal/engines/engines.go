// Package engines has the Socket.IO servers that --engine names: ours, and
// the library that it is compared with. A worker sees of them what [Engine] and
// [Socket] say, so that nothing else knows which it is.
package engines

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"

	"github.com/samedoor/samedoor/internal/trace"
)

// The names of the engines, as --engine and /cluster have them.
const (
	Native  = "native"     // our own: package socketio
	Library = "zishang520" // github.com/zishang520/socket.io, for comparison
)

// Names lists them.
var Names = []string{Native, Library}

// An Engine is a Socket.IO server. It records the requests it serves.
type Engine interface {
	http.Handler         // requests that begin a session, and those of sessions it has
	Has(sid string) bool // by the sid that the client shows
	Sessions() int
	Close() // ends all sessions; their clients reconnect

	// Drain is Close, and waits until the clients know or ctx is done.
	Drain(ctx context.Context)
	Nudge(sid string) // answers its held poll, so that its client polls again
}

// A Socket is a client in a namespace.
type Socket interface {
	ID() string                     // unique in this worker
	Emit(event string, args ...any) // queues an event and returns at once
	SID() string                    // of its Engine.IO session
	Addr() string                   // host:port of the true client, when the session began
	Auth() any                      // what the client said when it connected, decoded

	// On and OnLeave set handlers; ack is nil when the client wants none.
	On(event string, f func(args []any, ack func(...any)))
	OnLeave(f func(reason string))
}

// Options are what an engine must be told. All are required.
type Options struct {
	Record     *trace.Recorder // its name is put in front of the sids
	Namespaces []string
	Connected  func(ns string, s Socket) // called for each socket that has joined a namespace
	OnSessions func()                    // called when sessions begin and end; returns at once
	Log        *slog.Logger
}

// New returns the engine of that name; any but [Library] is ours.
func New(name string, o Options) Engine {
	if name == Library {
		return newLibrary(o)
	}
	return newNative(o)
}

// decoded returns JSON as plain values; nil if it is none.
func decoded(raw json.RawMessage) (v any) {
	_ = json.Unmarshal(raw, &v)
	return v
}
