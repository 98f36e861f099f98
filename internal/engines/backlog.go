package engines

import (
	"sync/atomic"

	eio "github.com/zishang520/socket.io/servers/engine/v3"

	"github.com/zishang520/socket.io/parsers/engine/v3/packet"
)

// maxBacklog bounds, in bytes, what waits for a client that does not read: one
// that sends and never polls would otherwise fill the worker's memory.
const maxBacklog = 4 << 20

// perPacket is what a packet costs beside its data, about.
const perPacket = 200

// boundBacklog ends a session whose client lets too much wait. The library
// keeps no account of it.
func boundBacklog(s eio.Socket) {
	var waiting atomic.Int64
	_ = s.On("packetCreate", func(args ...any) {
		n := int64(perPacket)
		if p, ok := args[0].(*packet.Packet); ok {
			if sized, ok := p.Data.(interface{ Len() int }); ok {
				n += int64(sized.Len())
			}
		}
		if waiting.Add(n) > maxBacklog {
			go s.Close(true) // not under the locks of whoever sends
		}
	})
	_ = s.On("flush", func(...any) { waiting.Store(0) })
}
