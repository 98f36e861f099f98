// Package doctor finds out from outside, over the wire, what is wrong with a
// Socket.IO deployment: any server, any language, behind any proxy.
//
// It knows nothing of this repository's own server; what it says rests on the
// answers it got. The sid is its oracle: a request for an open session that is
// answered "Session ID unknown" has reached a worker without that session.
//
// Read it in this order: doctor.go (what is asked and in which order), client.go
// (how requests are made and counted), then a check per file.
package doctor

import (
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Options say what to examine, and how hard to try.
type Options struct {
	URL       string          // page, origin or endpoint; http, https, ws or wss
	Path      string          // of the Engine.IO endpoint; empty: the URL's if it ends in /socket.io, else /socket.io/
	Namespace string          // to connect to; empty: "/"
	Auth      json.RawMessage // handed over when connecting to it
	Header    http.Header     // sent with every request; never printed
	Origin    string          // page whose cross-origin requests are tried; empty: the server's own
	Creds     bool            // that page sends cookies across origins (withCredentials)
	From      []netip.Addr    // source addresses; none: the system's choice
	Proxy     string          // whose configuration fixes are written in; empty: the one in sight
	Insecure  bool            // go on with a certificate that does not verify
	Quick     bool            // leave out what takes longer than seconds

	Sessions    int           // sessions that the sticky check opens
	Concurrency int           // requests under way at once; held polls and WebSockets wait outside
	Requests    int           // no more than these, WebSocket handshakes included
	Timeout     time.Duration // for an answer
	Hold        time.Duration // how long the idle check keeps a WebSocket
	Payload     int           // the largest body tried, whatever the server announces

	Agent string // User-Agent

	// Progress is told of every check twice: when it starts (finding nil) and
	// when it is through. It may be called from several goroutines.
	Progress func(name string, f *Finding)
}

// withDefaults fills what was left empty.
func (o Options) withDefaults() Options {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&o.Sessions, 4)
	def(&o.Concurrency, 4)
	def(&o.Requests, 150)
	def(&o.Payload, 1<<20)
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Hold <= 0 {
		o.Hold = 65 * time.Second
	}
	if o.Namespace == "" {
		o.Namespace = "/"
	}
	if o.Namespace[0] != '/' {
		o.Namespace = "/" + o.Namespace
	}
	if o.Agent == "" {
		o.Agent = "samedoor-doctor (+https://github.com/samedoor/samedoor)"
	}
	if o.Progress == nil {
		o.Progress = func(string, *Finding) {}
	}
	return o
}

// A Check looks at one thing. Run fills the finding it is handed; what it
// leaves alone is an ok without a title.
type Check struct {
	Name string
	Doc  string // what a healthy deployment does
	Run  func(ctx context.Context, e *exam, f *Finding)
}

// First lists the checks that run one after the other: each needs what the one
// before found out, and sticky counts requests that nobody else may disturb.
var First = []*Check{reachable, protocol, handshake, sticky}

// Then lists those that run side by side.
var Then = []*Check{upgrade, websocketOnly, namespace, hold, idle, payload, cors, compression, keepalive, reconnect}

// Last lists those that look back at all answers.
var Last = []*Check{clock}

// Checks returns all of them, in the order of the report.
func Checks() []*Check {
	return append(append(append([]*Check(nil), First...), Then...), Last...)
}

// Run examines a deployment. The error is about the options; whatever is
// wrong with the deployment is in the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	o = o.withDefaults()
	e, err := newExam(o)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	r := &Report{Schema: schema, At: start.UTC().Truncate(time.Second), Quick: o.Quick}
	defer func() { e.end(ctx.Err() != nil) }()

	run := func(c *Check) *Finding {
		f := &Finding{Check: c.Name, Status: OK}
		switch {
		case e.stop != "":
			f.skip("%s", e.stop)
		case ctx.Err() != nil:
			f.skip("interrupted")
		default:
			o.Progress(c.Name, nil)
			at := time.Now()
			var lacked atomic.Bool
			c.Run(context.WithValue(ctx, lackedKey{}, &lacked), e, f)
			f.Millis = time.Since(at).Milliseconds()
			if ctx.Err() != nil && (f.Status != OK || f.Title == "") { // what was cut short proves nothing
				*f = Finding{Check: c.Name}
				f.skip("interrupted")
			}
			if lacked.Load() && f.Status != OK && c != sticky { // what was not asked proves nothing
				*f = Finding{Check: c.Name, Millis: f.Millis}
				f.skip("%v", errBudget)
			}
			e.prescribe(f)
			e.hush(f)
		}
		o.Progress(c.Name, f)
		return f
	}
	for _, c := range First {
		r.Findings = append(r.Findings, run(c))
	}
	found := make([]*Finding, len(Then))
	var wg sync.WaitGroup
	for i, c := range Then {
		wg.Go(func() { found[i] = run(c) })
	}
	wg.Wait()
	r.Findings = append(r.Findings, found...)
	for _, c := range Last {
		r.Findings = append(r.Findings, run(c))
	}
	died := e.died(r)
	if f := r.find(sticky.Name); !died && (f.Status == OK || f.Status == Warning) && r.find(hold.Name).Status != Failure {
		// A proxy that cuts a poll takes the worker for dead and sends others
		// elsewhere for a while: that is no lack of stickiness.
		if e.late(f); f.Status == Failure {
			e.prescribe(f)
		}
	}
	for _, f := range r.Findings { // once more, with all sids known
		e.hush(f)
	}
	e.conclude(r)
	r.Seconds = time.Since(start).Seconds()
	return r, nil
}
