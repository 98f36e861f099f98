package doctor

import (
	"context"
	"fmt"
	"net/netip"
)

// measure estimates the number of workers, with requests to spare.
func (s *stickiness) measure(ctx context.Context) string {
	e := s.e
	if e.affinity == affinityConnection {
		if w, how := s.connections(ctx); w != nil {
			e.workers = w
			return how
		}
	}
	d := e.door(netip.Addr{})
	defer d.shut()
	ses, _ := e.open(ctx, d, nil)
	if ses == nil {
		return "the number of workers could not be estimated"
	}
	var bits []bool
	for range 24 {
		t := fresh
		if e.affinity == affinityNone {
			t.door = d // a balancer of requests: one connection keeps to one of its own processes
		}
		a := ses.knock(ctx, t)
		if a.stranger() && ses.old(a) {
			break
		}
		if a.Err != nil || !(taken(a) || a.stranger()) {
			break
		}
		bits = append(bits, taken(a))
	}
	e.closed(ses)
	w := estimate(bits, s.kept)
	if w == nil {
		return "none of the follow-ups reached the owner: many workers, or sessions are not kept at all"
	}
	e.workers = w
	if w.How == "round robin" {
		return fmt.Sprintf("every %s request reaches the owner: round robin over %d workers", nth(w.About), w.About)
	}
	return fmt.Sprintf("one follow-up in %d reaches the owner: about %d workers (%d to %d)", w.About, w.About, w.Low, w.High)
}

// connections counts workers where a connection keeps to one: each of them is
// asked for sessions that others opened, which tells who shares a worker.
func (s *stickiness) connections(ctx context.Context) (*Estimate, string) {
	const most, spare = 14, 52
	e := s.e
	var distinct []*session
	defer func() {
		for _, ses := range distinct {
			ses.send(ctx, "POST", "1", to{door: ses.door}, call{})
			e.closed(ses)
		}
	}()
	var met []int // by each connection: a place in distinct
	for budget := e.requests() + most + spare; len(met) < most && e.requests() < budget; {
		d := e.door(netip.Addr{})
		defer d.shut()
		ses, _ := e.open(ctx, d, nil)
		if ses == nil {
			return nil, ""
		}
		if len(met) < 8 { // four of four may have been luck
			own := ses.knock(ctx, to{door: d})
			if s.same.add(own); !taken(own) {
				if own.stranger() {
					e.affinity = affinityNone
				}
				return nil, ""
			}
		}
		who := -1
		for i := range distinct {
			next := i // in turn, beginning with whose turn it is in a round robin
			if len(met) > 0 {
				next = (met[len(met)-1] + 1 + i) % len(distinct)
			}
			a := distinct[next].knock(ctx, to{door: d})
			if !a.Reused || a.Err != nil || !(taken(a) || a.stranger()) || a.stranger() && distinct[next].old(a) {
				return nil, ""
			}
			if taken(a) {
				who = next
				break
			}
		}
		if who < 0 {
			met, distinct = append(met, len(distinct)), append(distinct, ses)
			continue
		}
		met = append(met, who)
		ses.send(ctx, "POST", "1", to{door: d}, call{})
		e.closed(ses)
	}
	if len(distinct) < 2 { // a proxy in between keeps connections of its own
		return nil, ""
	}
	w := collected(met)
	switch {
	case w.High == 0:
		return w, fmt.Sprintf("%d connections led to as many different workers", len(met))
	case w.How == "round robin":
		return w, fmt.Sprintf("%d connections led to %d workers in turn: round robin", len(met), w.About)
	}
	return w, fmt.Sprintf("%d connections led to %s: about %d in all", len(met), count(len(distinct), "different worker"), w.About)
}
