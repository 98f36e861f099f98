package socketio

import (
	"log/slog"
	"time"

	"github.com/samedoor/samedoor/socketio/engine"
)

// Options of a Server. The zero value of each field means its default.
type Options struct {
	// Engine are the options of the connections below: heartbeat, transports,
	// limits and hooks.
	Engine engine.Options

	// ConnectTimeout is how long a client may stay without a namespace; 45 s.
	ConnectTimeout time.Duration
	// MaxAttachments bounds how many binary attachments a packet has, 10, and
	// MaxAttachmentBytes what they hold together; 10 MB.
	MaxAttachments     int
	MaxAttachmentBytes int
	// MaxDepth bounds how deeply a client's JSON is nested; 100.
	MaxDepth int
	// MaxNamespaces bounds how many namespaces a client joins; 100.
	MaxNamespaces int
	// MaxPending bounds how many events of a client wait for its handlers
	// before nothing more is read from it; 1024.
	MaxPending int

	// Adapter makes the Adapter of each namespace; NewMemoryAdapter.
	Adapter func(*Namespace) Adapter

	// Logger is told about panics of handlers; default: nobody.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	def := func(n *int, v int) {
		if *n <= 0 {
			*n = v
		}
	}
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = 45 * time.Second
	}
	def(&o.MaxAttachments, 10)
	def(&o.MaxAttachmentBytes, 10_000_000)
	def(&o.MaxDepth, 100)
	def(&o.MaxNamespaces, 100)
	def(&o.MaxPending, 1024)
	if o.Adapter == nil {
		o.Adapter = func(n *Namespace) Adapter { return NewMemoryAdapter(n) }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Engine.Logger == nil {
		o.Engine.Logger = o.Logger
	}
	return o
}
