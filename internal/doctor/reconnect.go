package doctor

import (
	"context"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

var reconnect = &Check{
	Name: "reconnect",
	Doc:  "a client that was cut off is let in again, and a silent one is given up in time",
	Run: func(ctx context.Context, e *exam, f *Finding) {
		e.inTurn(ctx, 2)
		conn, a := e.dial(ctx, nil, wsOptions{from: e.from(5)})
		if conn == nil {
			f.skip("no WebSocket: see websocket")
			return
		}
		if m, err := e.read(ctx, conn, e.o.Timeout); err != nil || !strings.HasPrefix(m, "0{") || !talks(ctx, e, conn) {
			conn.Close()
			f.skip("no session on the WebSocket: see websocket")
			return
		}
		if !e.o.Quick && !givesUp(ctx, e, f, conn, a) {
			conn.Close()
			return
		}
		_ = conn.UnderlyingConn().Close() // without a word, as networks do
		again, a := e.dial(ctx, nil, wsOptions{from: e.from(5)})
		if again == nil {
			f.saw(a)
			f.fail("a client that was cut off is not let in again")
			f.because("", "The server, or a limit in front of it, still counts the connection that is gone.")
			f.advise("Raise the limit of connections per address, or shorten pingTimeout.")
			return
		}
		defer hang(again)
		if m, err := e.read(ctx, again, e.o.Timeout); err != nil || !strings.HasPrefix(m, "0{") {
			f.saw(a)
			f.fail("a client that was cut off gets no new session")
			return
		}
		if f.Status == OK && f.Title == "" {
			f.ok("back in %s after a cut", span(a.Took))
		}
	},
}

// givesUp answers no ping, and waits for the server to notice.
func givesUp(ctx context.Context, e *exam, f *Finding, c *websocket.Conn, a *Answer) bool {
	due := e.hello.PingInterval + e.hello.PingTimeout
	if due > 2*time.Minute {
		f.note("The server gives a silent client up after %s: too long to wait for here.", span(due))
		return true
	}
	start := time.Now()
	moved := start // last
	for {
		_, err := e.read(ctx, c, due+10*time.Second-time.Since(start))
		took := time.Since(start)
		switch {
		case err == nil:
			moved = time.Now()
			continue
		case ctx.Err() != nil:
			return false
		case isTimeout(err):
			f.warn("a client that answers no pings is still connected after %s", span(took))
			f.because("", "The server announces to give it up after %s. Until then it counts as present.", span(due))
			f.advise("Check that the server's timers run, and that no proxy answers in the client's stead.")
		case took < due*8/10:
			// Cut early by something else: the idle check tells.
			e.cutOff(cut{check: f.Check, at: time.Now(), quiet: time.Since(moved), seen: a.Request + " → " + reason(err)})
		default:
			f.ok("a silent client is given up after %s", span(took))
		}
		return true
	}
}
