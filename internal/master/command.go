package master

import (
	"context"
	"net"

	"github.com/samedoor/samedoor/internal/commands"
)

// listen opens where `samedoor scale` finds this master. The cluster does
// without it if need be.
func (m *Master) listen() net.Listener {
	l, err := commands.Listen(m.public.String())
	if err != nil {
		m.log.Warn("samedoor scale won't reach this cluster", "error", err)
	}
	return l
}

// obey does what is asked for there until ctx is done.
func (m *Master) obey(ctx context.Context, l net.Listener) {
	if l == nil {
		return
	}
	commands.Serve(ctx, l, func(asking context.Context, r commands.Request) commands.Answer {
		was, err := m.scale(asking, ctx, r.Scale)
		a := commands.Answer{Was: was, Now: r.Scale}
		if err != nil {
			a.Error = err.Error()
		}
		return a
	})
}
