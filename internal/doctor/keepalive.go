package doctor

import "context"

var keepalive = &Check{
	Name: "keepalive",
	Doc:  "two sessions may share one connection, as they do behind proxies and in browsers",
	Run: func(ctx context.Context, e *exam, f *Finding) {
		if !e.sticky {
			f.skip("each request goes to any worker already: see sticky")
			return
		}
		d1, d2 := e.door(e.from(0)), e.door(e.from(1))
		defer d1.shut()
		defer d2.shut()
		s1, a := e.open(ctx, d1, nil)
		if s1 == nil {
			noSession(f, a)
			return
		}
		s2, a := e.open(ctx, d2, nil)
		if s2 == nil {
			noSession(f, a)
			return
		}
		if e.affinity == affinityAddress && e.from(0) != e.from(1) {
			// Another address's connection is expected to lead elsewhere.
			s1.close(ctx, to{door: d1})
			s2.close(ctx, to{door: d2})
			f.skip("the address decides, and a connection has one: see sticky")
			return
		}
		// Each is closed over the connection that the other opened.
		b := s2.send(ctx, "POST", "1", to{door: d1}, call{})
		c := s1.send(ctx, "POST", "1", to{door: d2}, call{})
		for _, x := range []struct {
			a *Answer
			s *session
		}{{b, s2}, {c, s1}} {
			if x.a.stranger() {
				x.s.close(ctx, fresh)
			} else {
				e.closed(x.s)
			}
		}
		switch {
		case b.Err == errBudget || c.Err == errBudget:
			f.skip("%v", errBudget)
		case b.stranger() || c.stranger():
			f.saw(b, c)
			f.fail("a connection keeps to one worker, whatever session it asks for")
			f.because("sticky", "The front looks at a connection's first request only. Browsers and proxies send requests of several sessions down one connection, and all but the first go wrong.")
		case !taken(b) || !taken(c):
			f.saw(b, c)
			f.warn("requests of two sessions on one connection are not both answered with 200")
			f.because("", "Something on the way fails, now and then or for shared connections.")
			f.advise("Look at the log of what answers this way.")
		case !b.Reused || !c.Reused:
			f.ok("connections are closed after an answer: none is shared")
		default:
			f.ok("two sessions on one connection, each reached its owner")
		}
	},
}
