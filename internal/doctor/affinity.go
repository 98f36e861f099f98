package doctor

import (
	"context"
	"fmt"
)

// Affinities: what must stay the same for requests of a session to reach its
// owner. The order is from what asks least of a client to what asks most.
const (
	affinityEvery      = "every"      // any request reaches the owner, from this address
	affinityAddress    = "address"    // the client's address
	affinityCookie     = "cookie"     // a cookie that the handshake set
	affinityConnection = "connection" // one TCP connection
	affinityNone       = "none"
)

// enough follow-ups are what a verdict needs, where some had to be discarded.
const enough = 6

// judge tells from the tallies what leads a request to its session's owner.
func (s *stickiness) judge(ctx context.Context) {
	for _, t := range []tally{s.kept, s.without, s.same} {
		if t.other != nil && t.other.Err != errBudget {
			s.f.saw(t.other)
		}
	}
	switch {
	case s.unjudged():
	case s.kept.perfect() && !s.without.missed():
		s.held()
	case s.kept.perfect():
		s.heldByCookie()
	default:
		s.strayed(ctx)
	}
}

// unjudged tells that the follow-ups say nothing of who is reached, and has
// said why.
func (s *stickiness) unjudged() bool {
	e, f := s.e, s.f
	if s.broke {
		f.skip("%v", errBudget)
		e.stop = errBudget.Error()
		return true
	}
	if s.expired > 0 && s.kept.all+s.moved.all < enough && !s.kept.missed() && !s.without.missed() {
		e.sticky = true // as far as is known
		f.warn("too slow to judge: sessions end before their follow-ups are answered")
		f.tell("%s in time, %d to sessions that had ended or may have", count(s.kept.all, "answer"), s.expired)
		f.because("", "The announced pings leave less time than the follow-ups take here, or the server gives sessions up early.")
		f.advise("Ask with --sessions 1, from nearby, or raise pingInterval and pingTimeout.")
		return true
	}
	asked := s.asked()
	if s.kept.stray != nil && s.kept.hits+s.without.hits+s.same.hits == 0 {
		if no, ok := s.kept.stray.engine(); !ok || no.Code != codeUnknownSID {
			f.saw(s.kept.stray)
			asked = 0 // every POST is answered so, whatever its sid
		}
	}
	if asked == 0 || s.kept.all == 0 {
		f.fail("no follow-up request is answered as Socket.IO answers it")
		f.because("", "The way of a POST differs from that of a GET: a firewall, a method that is not forwarded, a body that is dropped.")
		f.advise("Forward GET, POST and OPTIONS below %s alike.", e.path())
		e.stop = "nothing to try it on: see sticky"
		return true
	}
	if failed := s.kept.failed + s.without.failed; failed > 0 && !s.kept.missed() {
		e.sticky = true // as far as is known
		s.failing(failed)
		return true
	}
	return false
}

// asked is how many follow-ups on fresh connections were answered by the owner
// or a stranger.
func (s *stickiness) asked() int { return s.kept.all + s.without.all }

// failing says of follow-ups that none of the workers answered how they failed.
func (s *stickiness) failing(failed int) {
	f, all := s.f, s.asked()+failed
	other := s.kept.other
	if other == nil {
		other = s.without.other
	}
	how := fmt.Sprint("with ", other.Status)
	switch {
	case other.Err != nil:
		how = "(" + reason(other.Err) + ")"
	case other.Status == 200:
		how = "with a page"
	}
	f.fail("%d of %d follow-ups fail %s", failed, all, how)
	if failed == 1 {
		f.warn("1 of %d follow-ups fails %s", all, how)
	}
	f.because("", "They reach neither the owner nor a stranger: something on the way fails, or one of its upstreams does.")
	f.advise("Look at the log of what answers this way.")
}

// held: all follow-ups reached the owner, whatever else they had in common.
func (s *stickiness) held() {
	e, f := s.e, s.f
	e.sticky, e.affinity = true, affinityEvery
	f.ok("%d of %d follow-ups on fresh connections reached the owner", s.kept.hits+s.without.hits, s.asked())
	switch {
	case s.moved.missed():
		e.affinity = affinityAddress
		f.ok("the client's address decides: %s follow-ups from it reached the owner", s.kept)
		f.note("From another of the --from addresses only %s did: clients whose address changes (mobile, several proxies) lose their session.", s.moved)
	case len(e.o.From) < 2:
		f.note("From one source address only: a hash of it looks the same as shared sessions. --from ADDR,ADDR tells them apart.")
	default:
		f.note("From %d source addresses as well: no address decides.", len(e.o.From))
	}
}

// heldByCookie: only follow-ups with the handshake's cookies all reached it.
func (s *stickiness) heldByCookie() {
	e, f := s.e, s.f
	e.sticky, e.affinity = true, affinityCookie
	f.warn("a cookie decides: without it, %d of %d follow-ups met a stranger", s.without.all-s.without.hits, s.without.all)
	f.saw(s.without.stray)
	f.tell("with the cookie: %s reached the owner", s.kept)
	f.because("", "Clients that keep no cookies (apps, command lines), and pages of other sites without withCredentials, are sent to any worker.")
	f.advise("Fine for pages of the same site. For the others: withCredentials on the client and SameSite=None; Secure on the cookie, or a hash of the address or of the sid.")
}

// strayed: nothing that a browser keeps leads it to the owner.
func (s *stickiness) strayed(ctx context.Context) {
	e, f := s.e, s.f
	e.affinity = affinityNone
	if s.same.perfect() {
		e.affinity = affinityConnection
	}
	dispatch := s.measure(ctx)
	f.fail("not sticky: %d of %d follow-ups met a worker without the session", s.kept.all-s.kept.hits, s.kept.all)
	f.saw(s.kept.stray)
	f.tell("on the connection that opened the session: %s reached the owner", s.same)
	f.tell("on fresh connections: %s reached the owner", s.kept)
	if s.without.all > 0 {
		f.tell("without the cookie: %s reached the owner", s.without)
	}
	if s.moved.all > 0 {
		f.tell("from another address: %s reached the owner", s.moved)
	}
	f.tell("%s", dispatch)
	why := "Requests are spread over workers, and each knows its own sessions only."
	if e.affinity == affinityConnection {
		why = "Connections are spread over workers, and each knows its own sessions only. Browsers open several."
	}
	f.because("sticky", "%s Redis or another adapter carries messages between them, not sessions.", why)
}

// late looks back: follow-ups of later checks that met strangers show what
// the sticky check was too lucky to see.
func (e *exam) late(f *Finding) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.strays) == 0 {
		return
	}
	e.affinity, e.sticky = affinityNone, false
	f.fail("not always sticky: %d of %d later follow-ups met a worker without the session", len(e.strays), e.follows)
	f.saw(e.strays...)
	f.because("sticky", "Most requests reach the owner, some do not: two workers and luck, an address that changes, or a worker that was replaced.")
}
