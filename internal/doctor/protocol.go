package doctor

import (
	"context"
	"strings"
)

var protocol = &Check{
	Name: "protocol",
	Doc:  "the server speaks Engine.IO 4, which clients of Socket.IO 3 and 4 need",
	Run: func(ctx context.Context, e *exam, f *Finding) {
		d := e.door(e.from(0))
		defer d.shut()
		old := d.do(ctx, call{method: "GET", query: "transport=polling", eio: 3}, nil)
		h, eio, err := parseOpen(old.Body)
		speaks3 := err == nil && eio == 3 && old.Status == 200
		if speaks3 {
			old.Body = strings.ReplaceAll(old.Body, h.SID, short(h.SID))
			s := &session{Hello: h, e: e, door: d}
			s.send(ctx, "POST", "1:1", to{door: d}, call{eio: 3})
		}
		if e.first != nil {
			e.eio = 4
			f.ok("Engine.IO 4 (Socket.IO 3 and 4)")
			if speaks3 {
				f.ok("Engine.IO 4 and 3 (Socket.IO 2, 3 and 4)")
			}
			return
		}
		e.stop = "needs Engine.IO 4: see protocol"
		f.saw(e.firstAnswer, old)
		no, refused := e.firstAnswer.engine()
		switch {
		case speaks3:
			e.eio = 3
			f.fail("the server speaks Engine.IO 3 only: clients of Socket.IO 3 and 4 can't connect")
			f.because("", "The server is Socket.IO 2.")
			f.advise("Upgrade the server to Socket.IO 4 (allowEIO3: true keeps old clients), or use a client of version 2.")
		case refused && no.Code == codeUnsupported:
			f.fail("the server refuses Engine.IO 4: %s", excerpt(no.Message))
			f.because("", "It supports other versions of the protocol than today's clients.")
			f.advise("Upgrade the server to a Socket.IO 3 or 4 implementation.")
		case refused && no.Code == codeUnknownTransport:
			f.fail("polling is not offered: %s", excerpt(no.Message))
			f.because("", "The server's `transports` leave out polling, with which clients begin unless told otherwise.")
			f.advise("Allow polling on the server, or tell clients: transports: [\"websocket\"].")
		case refused && no.Code == codeForbidden:
			f.fail("the server forbids the handshake: %s", excerpt(no.Message))
			f.because("", "Its allowRequest, or a middleware, wants a header, a cookie or a token.")
			f.advise("Hand over what it asks for: --header, --cookie, --bearer; or correct allowRequest.")
		default:
			f.fail("the server refuses the handshake: %s", excerpt(no.Message))
		}
	},
}
