package doctor

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

var idle = &Check{
	Name: "idle",
	Doc:  "a quiet WebSocket stays open, with the server's pings",
	Run: func(ctx context.Context, e *exam, f *Finding) {
		if e.o.Quick {
			f.skip("takes %s: without --quick", span(e.o.Hold))
			return
		}
		e.inTurn(ctx, 1)
		conn, a := e.dial(ctx, nil, wsOptions{from: e.from(4)})
		if conn == nil {
			f.skip("no WebSocket: see websocket")
			return
		}
		defer hang(conn)
		start := time.Now()
		if m, err := e.read(ctx, conn, e.o.Timeout); err != nil || !strings.HasPrefix(m, "0{") || !talks(ctx, e, conn) {
			f.skip("no session on the WebSocket: see websocket")
			return
		}
		beat, beats := time.Now(), 0
		var survived time.Duration // the longest quiet that a ping ended
		patience := e.hello.PingInterval + e.hello.PingTimeout
		for time.Since(start) < e.o.Hold {
			m, err := e.read(ctx, conn, min(e.o.Hold-time.Since(start), patience-time.Since(beat)))
			if ctx.Err() != nil {
				return
			}
			quiet := time.Since(beat)
			if err != nil && !isTimeout(err) {
				e.cutOff(cut{check: f.Check, at: time.Now(), quiet: quiet, seen: a.Request + " → " + reason(err)})
			}
			var closed *websocket.CloseError
			switch {
			case err == nil && m == "2":
				survived = max(survived, quiet)
				beat = time.Now()
				beats++
				_ = write(conn, pong)
			case err == nil:
			case errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure:
				f.fail("the server closes a quiet WebSocket after %s (code %d)", span(time.Since(start)), closed.Code)
				f.saw(a)
				f.because("", "The server wants something of its clients, such as a login, within that time; or it was restarted.")
				f.advise("Look at the server's log; hand over credentials with --auth, --bearer or --cookie.")
				return
			case !isTimeout(err) && quiet < survived*9/10:
				f.saw(a)
				f.fail("a WebSocket is cut after %s (close code 1006)", span(time.Since(start)))
				f.tell("quiet for %s then, and for %s before that: %s", span(quiet), span(survived), reason(err))
				f.because("", "The worker that held it ended meanwhile (it died or was restarted), or a proxy limits how long a connection lives.")
				f.advise("Look at the worker's log, and run again.")
				return
			case !isTimeout(err):
				f.saw(a)
				f.fail("a quiet WebSocket is cut after %s (close code 1006)", span(quiet))
				f.tell("open for %s with %s, then: %s", span(time.Since(start)), count(beats, "ping"), reason(err))
				f.because("timeout", "A proxy cuts connections on which nothing moves for that long; the next ping would come after %s. %s", span(e.hello.PingInterval), orEnded)
				return
			case quiet >= patience:
				f.saw(a)
				f.fail("no ping within %s", span(patience))
				f.because("", "Frames are held back on the way, or the server's timers do not run.")
				f.advise("See whether the server sends its pings; if it does, something on the way buffers.")
				return
			}
		}
		f.ok("open for %s, with %s", span(time.Since(start)), count(beats, "ping"))
	},
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
