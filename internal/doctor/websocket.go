package doctor

import (
	"context"
	"strings"
)

var websocketOnly = &Check{
	Name: "websocket",
	Doc:  "a client that uses WebSocket alone can connect",
	Run: func(ctx context.Context, e *exam, f *Finding) {
		conn, a := e.dial(ctx, nil, wsOptions{from: e.from(2)})
		if conn == nil {
			refusedUpgrade(ctx, e, f, a, nil)
			return
		}
		defer hang(conn)
		m, err := e.read(ctx, conn, e.o.Timeout)
		if err != nil || !strings.HasPrefix(m, "0{") {
			f.saw(a)
			f.fail("a WebSocket opens, but no handshake comes")
			if err != nil {
				f.tell("waiting for 0{…}: %s", reason(err))
			} else {
				f.tell("instead of 0{…}: %s", excerpt(m))
			}
			f.because("upgrade", "A proxy answers 101 by itself, or another WebSocket server listens there.")
			return
		}
		if !talks(ctx, e, conn) {
			f.saw(a)
			f.fail("a WebSocket opens, but connecting to %s gets no answer", e.o.Namespace)
			f.because("", "The server is busy, or its middleware never calls next().")
			f.advise("Look at the server's middleware for %s.", e.o.Namespace)
			return
		}
		f.ok("connected in %s", span(a.Took))
		if !e.sticky {
			f.note("With transports: [\"websocket\"] clients would do without stickiness, at the price of the fallback.")
		}
	},
}
