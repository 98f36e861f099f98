package doctor

import (
	"context"
	"strings"
	"time"
)

var payload = &Check{
	Name: "payload",
	Doc:  "a POST as large as the server announces gets through",
	Run: func(ctx context.Context, e *exam, f *Finding) {
		most := e.hello.MaxPayload
		announced := most > 0
		if !announced {
			most = 100_000
		}
		size := min(most, e.o.Payload)
		d := e.door(e.from(0))
		defer func() { d.shut() }()
		s, a := e.open(ctx, d, nil)
		if s == nil {
			noSession(f, a)
			return
		}
		// A pong with data: taken by every server, and of no effect.
		post := func(n int) *Answer {
			return s.reach(ctx, func() *Answer {
				return s.send(ctx, "POST", pong+strings.Repeat("x", n-1), to{}, call{wait: e.o.Timeout + time.Duration(n/50_000)*time.Second})
			})
		}
		a = post(size)
		switch {
		case taken(a):
			f.ok("%s in one POST", bytes(size))
			if size < most && announced {
				f.note("The server announces %s; more than %s is tried with --payload.", bytes(most), bytes(size))
			}
			s.close(ctx, to{door: d})
			return
		case a.stranger():
			f.skip("no request reached the owner: see sticky")
			return
		case a.Err == errBudget:
			f.skip("%v", errBudget)
			return
		}
		refused := a
		// The refusal may have ended the session: each size gets its own.
		works, fails := 0, size
		for _, n := range []int{size / 4, size / 64, size * 3 / 5} {
			if n <= works || n >= fails || n < 2 {
				continue
			}
			s.close(ctx, to{door: d})
			d.shut()
			d = e.door(e.from(0))
			if s, _ = e.open(ctx, d, nil); s == nil {
				break
			}
			if a = post(n); taken(a) {
				works = n
			} else if a.stranger() || a.Err == errBudget {
				break
			} else {
				fails = n
			}
		}
		if s != nil {
			s.close(ctx, to{door: d})
		}
		f.saw(refused)
		if works > 0 {
			f.tell("%s in one POST: ok", bytes(works))
		}
		_, engine := refused.engine()
		own := engine || refused.Body == "" && refused.Header.Get("Server") == ""
		switch {
		case works == 0 && refused.Status != 413:
			f.fail("a POST of %s fails", bytes(size))
			f.because("payload", "The proxy or the server gives up on bodies of that size.")
		case own && announced && works >= size*3/5:
			f.warn("a POST of %s, as announced, is refused; %s works", bytes(size), bytes(works))
			f.because("", "The server counts more than the body towards its limit.")
			f.advise("Nothing, unless clients send messages of that size.")
		default:
			f.fail("a POST of %s is refused, though the server takes %s", bytes(fails), bytes(most))
			f.because("payload", "A proxy limits bodies to less than the server announces; the client splits its messages by what the server says.")
		}
	},
}
