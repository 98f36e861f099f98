package doctor

import (
	"context"
	"slices"
	"time"
)

var clock = &Check{
	Name: "clock",
	Doc:  "answers come soon, and clocks agree",
	Run: func(ctx context.Context, e *exam, f *Finding) {
		e.mu.Lock()
		trips := slices.Clone(e.trips)
		e.mu.Unlock()
		if len(trips) == 0 {
			f.skip("no answer to time")
			return
		}
		var took, skews []time.Duration
		for _, t := range trips {
			took = append(took, t.took)
			if t.date {
				skews = append(skews, t.skew)
			}
		}
		mid, slow := quantile(took, 0.5), quantile(took, 0.95)
		f.ok("an answer takes %s, the slowest %s", span(mid), span(slow))
		switch {
		case mid > 2*time.Second:
			f.warn("an answer takes %s", span(mid))
			f.because("", "The way is long, or the server is busy: a handshake by polling takes four of them.")
			f.advise("Look at the server's load; transports: [\"websocket\", \"polling\"] saves requests.")
		case mid > e.hello.PingTimeout/4 && e.hello.PingTimeout > 0:
			f.warn("an answer takes %s, a good part of pingTimeout (%s)", span(mid), span(e.hello.PingTimeout))
			f.because("", "A client whose pong is that late is given up.")
			f.advise("Raise pingTimeout, or find what blocks the server.")
		}
		if len(skews) == 0 {
			return
		}
		if skew := quantile(skews, 0.5); skew.Abs() > time.Minute {
			which := "ahead"
			if skew < 0 {
				which = "behind"
			}
			f.warn("the server's clock is %s %s of this machine's", span(skew.Abs()), which)
			f.because("", "Tokens and cookies with a time in them are refused, and logs do not fit together.")
			f.advise("Let both keep time by NTP.")
		}
	},
}

func quantile(ds []time.Duration, q float64) time.Duration {
	ds = slices.Sorted(slices.Values(ds))
	return ds[int(q*float64(len(ds)-1)+0.5)]
}
