package doctor

import (
	"context"
	"encoding/json"
)

var namespace = &Check{
	Name: "namespace",
	Doc:  "the namespace can be connected to",
	Run: func(ctx context.Context, e *exam, f *Finding) {
		d := e.door(e.from(0))
		defer d.shut()
		s, a := e.open(ctx, d, nil) // that of reachable may be long gone
		if s == nil {
			noSession(f, a)
			return
		}
		at := to{door: s.door, origin: true}
		packet := connectPacket(e.o.Namespace, e.o.Auth)
		a = s.send(ctx, "POST", packet, at, call{}) // refused by a stranger, it may be repeated
		for i := 1; i < e.tries() && a.stranger(); i++ {
			a = s.send(ctx, "POST", packet, to{origin: true}, call{})
		}
		e.followed(s, a)
		if !taken(a) {
			f.saw(a)
			switch {
			case a.stranger():
				f.skip("no request reached the owner: see sticky")
			case a.Status == 403:
				f.fail("POSTs from %s are refused with 403", e.origin())
				f.because("origin", "The server compares Origin with Host, and a proxy in front rewrites Host; or a firewall refuses POSTs.")
				f.advise("Forward the Host header unchanged, or add %s to the server's origins.", e.origin())
			case a.Err == errBudget:
				f.skip("%v", errBudget)
			default:
				f.fail("connecting to %s fails", e.o.Namespace)
				f.because("", "The POST that should join is not answered with 200 ok.")
			}
			return
		}
		defer s.close(ctx, at)
		for range 3 {
			a = s.reach(ctx, func() *Answer { return s.send(ctx, "GET", "", at, call{held: true}) })
			if a.Err != nil || a.Status != 200 {
				break
			}
			for _, m := range split(a.Body) {
				p, ok := parseMessage(m)
				if !ok || p.Namespace != e.o.Namespace {
					continue
				}
				switch p.Type {
				case '0':
					f.ok("connected to %s", e.o.Namespace)
					return
				case '4':
					refusedNamespace(e, f, p)
					return
				}
			}
		}
		if a.stranger() {
			f.skip("no request reached the owner: see sticky")
			return
		}
		f.saw(a)
		f.fail("connecting to %s gets no answer", e.o.Namespace)
		f.because("", "The server's middleware never calls next(), or no Socket.IO server stands behind Engine.IO.")
		f.advise("Look at io.use(…) and io.of(%q).use(…).", e.o.Namespace)
	},
}

func refusedNamespace(e *exam, f *Finding, p packet) {
	var why struct{ Message string }
	if json.Unmarshal([]byte(p.Data), &why) != nil || why.Message == "" {
		why.Message = p.Data
	}
	f.tell("40 → 44 %s", excerpt(why.Message))
	msg := excerpt(why.Message)
	if e.o.Namespace == "/" && len(e.o.Auth) == 0 {
		f.warn("%s refuses a client without credentials: %s", e.o.Namespace, msg)
		f.because("", "Its middleware wants a token; the way there works.")
		f.advise("Hand over what clients hand over: --auth '{\"token\":\"…\"}', --bearer, --cookie or --header.")
		return
	}
	f.fail("%s refuses to connect: %s", e.o.Namespace, msg)
	f.because("", "The namespace does not exist, or its middleware refuses --auth.")
	f.advise("Check --namespace and --auth against the server's io.of(…) and middleware.")
}
