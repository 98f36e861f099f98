package worker

import (
	"math/rand/v2"
	"testing"
	"time"
)

// BenchmarkForward tells what a stranger costs, in CPU time of all workers a
// request, and against a request that came to its owner at once: own, on a
// connection that is kept (own) or one that is new each time (own, new).
func BenchmarkForward(b *testing.B) {
	type cluster [4]*process
	start := func(env ...string) (p cluster) {
		r := newRun(b)
		for slot := range p {
			p[slot] = r.spawn(slot, env...)
		}
		return p
	}
	clusters := map[bool]cluster{true: start(), false: start("PROXY_ONLY=1")}

	base := map[bool]float64{} // by whether the connection is new
	measure := func(name string, handOver, fresh bool, door func(i int) int, owner func(i int) int) {
		b.Run(name, func(b *testing.B) {
			p := clusters[handOver]
			var sids [len(p)]string // new ones: nobody polls, so they don't last
			for slot := range p {
				sids[slot] = open(b, p[slot].url)
			}
			var l *line
			ask := func(i int) {
				if l == nil || fresh {
					if l != nil {
						l.Close()
					}
					l = dial(b, p[door(i)].url)
				}
				l.write(b, post(sids[owner(i)], "3"))
				if a := l.read(b); a.status != 200 {
					b.Fatalf("%d %s", a.status, a.body)
				}
			}
			for i := range 200 { // caches, connections between the workers
				ask(i)
			}
			cpu := func() (all time.Duration) {
				for _, w := range p {
					all += w.cpu()
				}
				return all
			}
			before := cpu()
			for i := 0; b.Loop(); i++ {
				ask(i)
			}
			us := float64((cpu() - before).Nanoseconds()) / 1000 / float64(b.N)
			b.ReportMetric(us, "cpu-µs/op")
			if base[fresh] == 0 {
				base[fresh] = us
			}
			b.ReportMetric(us/base[fresh], "×own")
			l.Close()
		})
	}
	slot := func(n int) func(int) int { return func(int) int { return n } }
	turns := func(n int) func(int) int { return func(i int) int { return i % n } }
	chance := func(int) int { return rand.IntN(4) }
	measure("own", true, false, slot(0), slot(0))
	measure("own, new connection", true, true, slot(0), slot(0))
	measure("stranger by proxy, new connection", false, true, slot(1), slot(0))
	measure("stranger handed over, new connection", true, true, slot(1), slot(0))
	measure("next by proxy", false, false, slot(1), slot(0))
	measure("next after hand-over", true, false, slot(1), slot(0))
	// A proxy in front that sends several clients' requests down one connection.
	measure("two owners in turn, by proxy", false, false, slot(1), turns(2))
	measure("two owners in turn, handed over", true, false, slot(1), turns(2))
	measure("four owners at random, by proxy", false, false, slot(1), chance)
	measure("four owners at random, handed over", true, false, slot(1), chance)
}
