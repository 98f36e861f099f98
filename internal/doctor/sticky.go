package doctor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
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

// A tally counts follow-ups of one kind.
type tally struct {
	all, hits int
	stray     *Answer // one that met a stranger
	other     *Answer // one that failed in another way
	failed    int     // how many did
}

func (t *tally) add(a *Answer) {
	switch {
	case a.Err == errBudget || errors.Is(a.Err, context.Canceled):
	case a.stranger():
		t.all++
		t.stray = a
	case taken(a):
		t.all++
		t.hits++
	default:
		t.other = a
		t.failed++
	}
}

func (t tally) perfect() bool { return t.all > 0 && t.hits == t.all }
func (t tally) missed() bool  { return t.hits < t.all }
func (t tally) String() string {
	return fmt.Sprintf("%d of %d", t.hits, t.all)
}

var sticky = &Check{
	Name: "sticky",
	Doc:  "every request of a session reaches the worker that holds it",
	Run: func(ctx context.Context, e *exam, f *Finding) {
		s := &stickiness{e: e, f: f}
		polling, end := context.WithCancel(ctx)
		defer end() // and with it whatever polls are still held
		s.polling = polling
		if !s.open(ctx) {
			return
		}
		s.follow(ctx)
		s.across(ctx)
		s.leave(ctx)
		s.judge(ctx)
	},
}

// stickiness varies one thing at a time: the connection, the cookies, the
// address.
type stickiness struct {
	e        *exam
	f        *Finding
	polling  context.Context
	sessions []*session
	polls    []*poll

	kept, without, same, moved tally

	broke   bool // the allowed requests were used up
	expired int  // strangers to sessions that may have ended by themselves
}

// A poll is one that is held over the connection that opened its session.
type poll struct {
	done chan struct{}
	a    *Answer // once done
}

// enough follow-ups are what a verdict needs, where some had to be discarded.
const enough = 6

// count adds a follow-up of the i-th session to a tally. A stranger counts
// only if the session is known to live.
func (s *stickiness) count(ctx context.Context, t *tally, i int, a *Answer) {
	if a.stranger() && !s.lives(ctx, i, a) {
		s.expired++
		return
	}
	t.add(a)
}

// lives tells whether the i-th session was there when a stranger answered.
func (s *stickiness) lives(ctx context.Context, i int, a *Answer) bool {
	ses := s.sessions[i]
	if ses.old(a) {
		return false
	}
	select {
	case <-s.polls[i].done:
	default:
		return true // its owner holds the poll
	}
	if s.polls[i].a.stranger() {
		return true // not even its own connection leads to it
	}
	for range 3 {
		own := ses.knock(ctx, to{door: ses.door})
		if !own.stranger() {
			return taken(own)
		}
	}
	return false
}

// open opens the sessions, each through a connection of its own, and with
// several source addresses each from the next. As with real clients, a poll of
// each is held from then on: a proxy that keeps connections to the workers
// alive would otherwise get by with one of them, and look sticky.
func (s *stickiness) open(ctx context.Context) bool {
	s.calibrate(ctx)
	seen := map[string]bool{s.e.first.SID: true}
	for i := range s.e.o.Sessions {
		d := s.e.door(s.e.from(i))
		ses, a := s.e.open(ctx, d, nil)
		if ses == nil {
			s.f.saw(a)
			if a.Err == errBudget {
				s.f.skip("%v", errBudget)
				return false
			}
			s.f.fail("one of %d handshakes fails", i+2)
			s.f.because("", "One of the workers, or one of the proxy's upstreams, does not answer as the others do.")
			s.f.advise("Look at the log of the worker that answered this way.")
			s.e.stop = "nothing to try it on: see sticky"
			return false
		}
		if seen[ses.SID] {
			s.f.saw(a)
			s.f.fail("two handshakes were given the same sid")
			s.f.because("", "A cache between here and the server answers for it.")
			s.f.advise("Exempt %s from caching: Cache-Control: no-store.", s.e.path())
			s.e.stop = "nothing to try it on: see sticky"
			return false
		}
		seen[ses.SID] = true
		p := &poll{done: make(chan struct{})}
		go func() {
			defer close(p.done)
			p.a = ses.send(s.polling, "GET", "", to{door: d}, call{held: true, wait: time.Minute})
		}()
		s.sessions, s.polls = append(s.sessions, ses), append(s.polls, p)
	}
	return true
}

// calibrate asks for a session that the server never gave. Servers of other
// makes than Node's say in their own ways that they do not know it.
func (s *stickiness) calibrate(ctx context.Context) {
	e := s.e
	made := &session{Hello: e.first.Hello, e: e, door: e.first.door, cookies: e.first.cookies}
	made.SID = imagined(e.first.SID)
	d := e.door(e.from(0))
	defer d.shut()
	a := d.do(ctx, call{method: http.MethodPost, body: pong, query: "transport=polling&sid=" + url.QueryEscape(made.SID)}, nil)
	a.Body = strings.ReplaceAll(a.Body, made.SID, "")
	if a.Err != nil || a.Status < 400 || a.page() {
		return
	}
	switch a.Status {
	case 401, 403, 405, 407, 413, 429, 502, 503, 504: // whoever asks
		return
	}
	e.alien = a
}

// imagined is a sid of the same make.
func imagined(sid string) string {
	const digits, letters = "0123456789", "abcdefghijklmnopqrstuvwxyz"
	b := []byte(sid)
	for i, c := range b {
		switch {
		case i < 2: // may name the worker
		case strings.IndexByte(digits, c) >= 0:
			b[i] = digits[rand.IntN(10)]
		case strings.IndexByte(letters, c|0x20) >= 0:
			b[i] = letters[rand.IntN(6)] // hexadecimal, if it was
		}
	}
	return string(b)
}

// follow sends follow-ups over fresh connections. In the order of the
// sessions, a round robin whose length divides their number would look
// sticky: hence at random, and for one session twice in a row, which no round
// robin answers from the same worker.
func (s *stickiness) follow(ctx context.Context) {
	type step struct {
		i    int // of the session
		bare bool
	}
	var units [][]step // kept together
	for i, ses := range s.sessions {
		kept, bare := step{i, false}, step{i, true}
		cookies := len(ses.cookies) > 0
		switch {
		case i == 0:
			units = append(units, []step{kept, kept})
			if cookies {
				units = append(units, []step{bare, bare, bare, bare})
			}
		case cookies:
			units = append(units, []step{kept}, []step{kept}, []step{bare}, []step{bare})
		default:
			units = append(units, []step{kept}, []step{kept})
		}
	}
	rand.Shuffle(len(units), func(i, j int) { units[i], units[j] = units[j], units[i] })
	steps := slices.Concat(units...)
	for _, st := range steps {
		a := s.sessions[st.i].knock(ctx, to{noCookies: st.bare})
		if st.bare {
			s.count(ctx, &s.without, st.i, a)
		} else {
			s.count(ctx, &s.kept, st.i, a)
		}
		s.broke = s.broke || a.Err == errBudget
	}
}

// across sends each session's follow-up from another source address.
func (s *stickiness) across(ctx context.Context) {
	if len(s.e.o.From) < 2 {
		return
	}
	for i, ses := range s.sessions {
		for j := range min(len(s.e.o.From)-1, 3) {
			s.count(ctx, &s.moved, i, ses.knock(ctx, to{from: s.e.from(i + 1 + j)}))
		}
	}
}

// leave closes the sessions, which is a follow-up too, and sees what became
// of the polls: each went over the connection that had opened its session.
func (s *stickiness) leave(ctx context.Context) {
	for _, i := range rand.Perm(len(s.sessions)) {
		ses := s.sessions[i]
		a := ses.send(ctx, "POST", "1", fresh, call{})
		s.count(ctx, &s.kept, i, a)
		for n := 0; n < 2 && a.stranger(); n++ {
			a = ses.send(ctx, "POST", "1", fresh, call{})
		}
		s.e.closed(ses) // if not by this, then with its poll
	}
	late := time.After(200 * time.Millisecond)
	add := func(i int) {
		if a := s.polls[i].a; a.Reused && !(a.stranger() && s.sessions[i].old(a)) {
			s.same.add(a)
		}
	}
	for i, p := range s.polls {
		select {
		case <-p.done:
			add(i)
			continue
		default:
		}
		select {
		case <-p.done:
			add(i)
		case <-late:
			late = time.After(0)
			s.same.add(&Answer{Status: 200}) // the owner holds it
		}
	}
}

func (s *stickiness) judge(ctx context.Context) {
	e, f := s.e, s.f
	total := s.kept.all + s.without.all
	for _, t := range []tally{s.kept, s.without, s.same} {
		if t.other != nil && t.other.Err != errBudget {
			f.saw(t.other)
		}
	}
	if s.broke {
		f.skip("%v", errBudget)
		e.stop = errBudget.Error()
		return
	}
	if s.expired > 0 && s.kept.all+s.moved.all < enough && !s.kept.missed() && !s.without.missed() {
		e.sticky = true // as far as is known
		f.warn("too slow to judge: sessions end before their follow-ups are answered")
		f.tell("%s in time, %d to sessions that had ended or may have", count(s.kept.all, "answer"), s.expired)
		f.because("", "The announced pings leave less time than the follow-ups take here, or the server gives sessions up early.")
		f.advise("Ask with --sessions 1, from nearby, or raise pingInterval and pingTimeout.")
		return
	}
	if s.kept.stray != nil && s.kept.hits+s.without.hits+s.same.hits == 0 {
		if no, ok := s.kept.stray.engine(); !ok || no.Code != codeUnknownSID {
			f.saw(s.kept.stray)
			total = 0 // every POST is answered so, whatever its sid
		}
	}
	if total == 0 || s.kept.all == 0 {
		f.fail("no follow-up request is answered as Socket.IO answers it")
		f.because("", "The way of a POST differs from that of a GET: a firewall, a method that is not forwarded, a body that is dropped.")
		f.advise("Forward GET, POST and OPTIONS below %s alike.", e.path())
		e.stop = "nothing to try it on: see sticky"
		return
	}
	if failed := s.kept.failed + s.without.failed; failed > 0 && !s.kept.missed() {
		e.sticky = true // as far as is known
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
		f.fail("%d of %d follow-ups fail %s", failed, total+failed, how)
		if failed == 1 {
			f.warn("1 of %d follow-ups fails %s", total+failed, how)
		}
		f.because("", "They reach neither the owner nor a stranger: something on the way fails, or one of its upstreams does.")
		f.advise("Look at the log of what answers this way.")
		return
	}
	switch {
	case s.kept.perfect() && !s.without.missed():
		e.sticky, e.affinity = true, affinityEvery
		f.ok("%d of %d follow-ups on fresh connections reached the owner", s.kept.hits+s.without.hits, total)
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
		return
	case s.kept.perfect():
		e.sticky, e.affinity = true, affinityCookie
		f.warn("a cookie decides: without it, %d of %d follow-ups met a stranger", s.without.all-s.without.hits, s.without.all)
		f.saw(s.without.stray)
		f.tell("with the cookie: %s reached the owner", s.kept)
		f.because("", "Clients that keep no cookies (apps, command lines), and pages of other sites without withCredentials, are sent to any worker.")
		f.advise("Fine for pages of the same site. For the others: withCredentials on the client and SameSite=None; Secure on the cookie, or a hash of the address or of the sid.")
		return
	}
	e.affinity = affinityNone
	if s.same.perfect() {
		e.affinity = affinityConnection
	}
	dispatch := s.measure(ctx)
	missed := s.kept.all - s.kept.hits
	f.fail("not sticky: %d of %d follow-ups met a worker without the session", missed, s.kept.all)
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

// An Estimate is how many workers there seem to be.
type Estimate struct {
	About int    `json:"about"`
	Low   int    `json:"low"`
	High  int    `json:"high"` // 0: open
	How   string `json:"how"`  // round robin, connections, share
}

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
