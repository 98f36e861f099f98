package doctor

import (
	"context"
	"slices"
	"time"
)

// quickHold is how long --quick watches a poll.
const quickHold = 1900 * time.Millisecond

// early is when a refusal is the worker's own; later, something cut the poll.
const early = 500 * time.Millisecond

var hold = &Check{
	Name: "hold",
	Doc:  "a poll is held until there is something to say, and answered at once then",
	Run: func(ctx context.Context, e *exam, f *Finding) {
		d := e.door(e.from(3))
		defer d.shut()
		s, a := e.open(ctx, d, nil)
		if s == nil {
			noSession(f, a)
			return
		}
		defer s.close(ctx, fresh)
		limit := quickHold
		if !e.o.Quick {
			limit = e.hello.PingInterval + 5*time.Second // the ping ends it
		}
		limit = min(limit, 2*time.Minute)

		if limit > 30*time.Second { // servers give up those that join nothing
			if p := s.reach(ctx, func() *Answer {
				return s.send(ctx, "POST", connectPacket(e.o.Namespace, e.o.Auth), to{}, call{})
			}); taken(p) {
				s.reach(ctx, func() *Answer { return s.send(ctx, "GET", "", to{door: d}, call{held: true}) })
			}
		}

		// The poll goes first, and what ends it a while later.
		answers := make(chan *Answer, 1)
		start := time.Now()
		go func() {
			c := call{held: true, wait: limit + e.o.Timeout}
			var a *Answer
			for range e.tries() { // a stranger answers at once
				if a = s.send(ctx, "GET", "", to{door: d}, c); !a.stranger() || a.Took > early {
					break
				}
			}
			if s.spoiled.Store(a.Took > early); a.Took <= early {
				e.followed(s, a)
			}
			answers <- a
		}()
		a = nil
		select {
		case a = <-answers:
		case <-ctx.Done():
			f.skip("interrupted")
			return
		case <-time.After(limit):
		}
		held := time.Since(start)
		if a != nil {
			ended(e, f, a, limit)
			return
		}

		// Now there is something to say.
		said := time.Now()
		p := s.reach(ctx, func() *Answer {
			return s.send(ctx, "POST", connectPacket(e.o.Namespace, e.o.Auth), to{}, call{})
		})
		if !taken(p) {
			if !p.stranger() && p.Err != errBudget {
				f.saw(p)
				f.fail("a POST beside a held poll fails")
				f.because("", "The proxy or the server takes one request of a client at a time.")
				return
			}
			// Strangers only, now: was the poll cut in the meantime?
			select {
			case a = <-answers:
				ended(e, f, a, limit)
			case <-time.After(time.Second):
				f.ok("held for %s", span(held))
			}
			return
		}
		select {
		case a = <-answers:
		case <-ctx.Done():
			f.skip("interrupted")
			return
		}
		late := time.Since(said)
		switch {
		case a.Err != nil || a.Status != 200:
			e.cutOff(cut{check: f.Check, at: a.At.Add(a.Took), quiet: a.Took, seen: a.String()})
			f.saw(a)
			f.fail("a held poll ends without its answer")
			f.because("timeout", "A proxy gives up waiting, or buffers the answer.")
		case late > time.Second+e.hello.PingInterval/50 && late > 4*p.Took+time.Second:
			f.saw(a)
			f.warn("what the server has to say arrives %s late", span(late))
			f.because("", "A proxy on the way holds answers back.")
			f.advise("Switch the buffering of answers off there (nginx: proxy_buffering off).")
		default:
			f.ok("held for %s, then answered in %s", span(held), span(late))
			if !e.o.Quick && held > e.hello.PingInterval {
				f.warn("no ping within %s, though every %s is announced", span(held), span(e.hello.PingInterval))
				f.because("", "The server does not send the pings it announces: clients will think it gone.")
				f.advise("Check that the server's timers run: a blocked event loop is the usual cause.")
			}
		}
	},
}

// ended judges a poll that ended by itself.
func ended(e *exam, f *Finding, a *Answer, limit time.Duration) {
	held := a.Took
	if closes := slices.Contains(split(a.Body), "1"); held > early && (a.Err != nil || a.Status != 200 || closes) {
		e.cutOff(cut{check: f.Check, at: a.At.Add(held), quiet: held, seen: a.String(), again: a.stranger()})
	}
	switch {
	case a.stranger() && a.Took > early:
		f.saw(a)
		f.fail("held polls are cut after %s, and tried again on another worker", span(held))
		f.because("timeout", "A proxy gives up waiting for the answer, takes the worker for dead and asks another; the ping that would end the poll comes after %s. %s", span(e.hello.PingInterval), orEnded)
	case a.stranger():
		f.skip("no request reached the owner: see sticky")
	case a.Err == errBudget:
		f.skip("%v", errBudget)
	case a.Status == 200 && a.Err == nil && slices.Contains(split(a.Body), "1"):
		f.saw(a)
		f.warn("the server closes a session that polls after %s", span(held))
		f.because("", "It wants something of its clients, such as a login, within that time; or it was restarted.")
		f.advise("Look at the server's log; hand over credentials with --auth, --bearer or --cookie.")
	case a.Status == 200 && a.Err == nil && pings(a.Body) && held > e.hello.PingInterval*8/10:
		f.ok("held for %s until the ping", span(held))
	case a.Status == 200 && a.Err == nil && held < e.hello.PingInterval/2 && held < limit*9/10:
		f.saw(a)
		f.warn("polls are answered after %s with nothing to say", span(held))
		f.because("", "Something ends held requests early: clients ask again and again.")
		f.advise("Let a request wait for its answer, at least pingInterval (%s).", span(e.hello.PingInterval))
	case a.Status == 200 && a.Err == nil:
		f.ok("held for %s", span(held))
	default:
		f.saw(a)
		f.fail("held polls are cut after %s", span(held))
		f.because("timeout", "A proxy gives up waiting for the answer; the ping that would end the poll comes after %s. %s", span(e.hello.PingInterval), orEnded)
	}
}

func pings(body string) bool {
	for _, m := range split(body) {
		if m == "2" {
			return true
		}
	}
	return false
}
