package doctor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

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
// address. This file asks, affinity.go judges what came back, and workers.go
// counts the workers where requests are spread over them.
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
