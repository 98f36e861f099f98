package doctor

import (
	"context"
	"slices"
	"strings"
	"time"
)

// idleTimeouts are what a proxy cuts quiet connections after, unless told
// otherwise. A poll is quiet for up to a ping interval.
var idleTimeouts = map[string]time.Duration{
	"nginx": 60 * time.Second, "ingress-nginx": 60 * time.Second, "kubernetes": 60 * time.Second,
	"apache": 60 * time.Second, "haproxy": 50 * time.Second, "alb": 60 * time.Second,
	"gcp": 30 * time.Second, "heroku": 30 * time.Second, "cloudflare": 100 * time.Second, "envoy": 15 * time.Second,
}

var handshake = &Check{
	Name: "handshake",
	Doc:  "the handshake names sid, upgrades and intervals that fit together",
	Run: func(ctx context.Context, e *exam, f *Finding) {
		h := e.first.Hello
		e.hello = h
		f.tell("upgrades %s, pingInterval %s, pingTimeout %s, maxPayload %s",
			list(h.Upgrades), span(h.PingInterval), span(h.PingTimeout), bytes(h.MaxPayload))
		p := e.sight()
		switch limit, known := idleTimeouts[p.Name]; {
		case h.PingInterval == 0 || h.PingTimeout == 0:
			f.fail("the handshake announces no ping interval or timeout")
			f.saw(e.firstAnswer)
			f.because("", "Clients can't tell a dead connection from a quiet one.")
			f.advise("Set pingInterval and pingTimeout on the server (25 and 20 seconds are usual).")
		case !slices.Contains(h.Upgrades, "websocket"):
			f.warn("the server offers no upgrade to WebSocket: clients stay with polling")
			f.saw(e.firstAnswer)
			f.because("", "The server's `transports` leave it out, or allowUpgrades is false.")
			f.advise("Set transports: [\"polling\", \"websocket\"] on the server.")
		case known && h.PingInterval >= limit:
			f.warn("pings come every %s, but %s cuts quiet requests after %s unless told otherwise", span(h.PingInterval), p.Name, span(limit))
			f.because("timeout", "A poll and an idle WebSocket are quiet for up to pingInterval.")
			f.advise("Set pingInterval below %s on the server, or raise the proxy's timeout.", span(limit))
		case h.PingInterval < time.Second:
			f.warn("pings every %s are a load by themselves", span(h.PingInterval))
			f.advise("Use a pingInterval of 25 s unless there is a reason.")
		default:
			f.ok("ping every %s, timeout %s, at most %s a message", span(h.PingInterval), span(h.PingTimeout), bytes(h.MaxPayload))
			if h.MaxPayload == 0 {
				f.ok("ping every %s, timeout %s", span(h.PingInterval), span(h.PingTimeout))
			}
		}
		if cc := e.firstAnswer.Header.Get("Age"); cc != "" && cc != "0" {
			f.fail("a cache answers the handshake (Age: %s)", excerpt(cc))
			f.because("", "Everybody is handed the same sid.")
			f.advise("Exempt %s from caching: Cache-Control: no-store.", e.path())
		}
	},
}

func list(ss []string) string {
	if len(ss) == 0 {
		return "none"
	}
	return excerpt(strings.Join(ss, ", "))
}
