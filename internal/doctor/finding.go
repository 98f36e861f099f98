package doctor

import (
	"fmt"
	"strings"
	"time"
)

// Status is what a check came to.
type Status string

const (
	OK      Status = "ok"
	Warning Status = "warning" // works, but not for everybody or not for long
	Failure Status = "failure"
	Skipped Status = "skipped" // Title says why
)

// A Finding is what one check found.
type Finding struct {
	Check    string   `json:"check"`
	Status   Status   `json:"status"`
	Title    string   `json:"title"`              // one line
	Evidence []string `json:"evidence,omitempty"` // a request and its answer each, or what follows from several
	Cause    string   `json:"cause,omitempty"`    // the likely one
	Fix      *Fix     `json:"fix,omitempty"`
	Notes    []string `json:"notes,omitempty"` // worth knowing, whatever the status
	Millis   int64    `json:"ms"`

	problem string // names the folder of fixes
	advice  string // the fix in words, where no configuration helps
}

// A Fix says what to change.
type Fix struct {
	Proxy  string `json:"proxy,omitempty"` // whose configuration it is; empty: nobody's
	Text   string `json:"text,omitempty"`
	Config string `json:"config,omitempty"` // to be copied; docs/doctor.md says what stands for the workers
}

func (f *Finding) set(s Status, format string, args ...any) {
	f.Status, f.Title = s, fmt.Sprintf(format, args...)
}
func (f *Finding) ok(format string, args ...any)   { f.set(OK, format, args...) }
func (f *Finding) warn(format string, args ...any) { f.set(Warning, format, args...) }
func (f *Finding) fail(format string, args ...any) { f.set(Failure, format, args...) }
func (f *Finding) skip(format string, args ...any) { f.set(Skipped, format, args...) }
func (f *Finding) note(format string, args ...any) {
	f.Notes = append(f.Notes, fmt.Sprintf(format, args...))
}

// because says why, and which fixes apply: a folder below fixes.
func (f *Finding) because(problem, format string, args ...any) {
	f.problem, f.Cause = problem, fmt.Sprintf(format, args...)
}

// advise is the fix in words.
func (f *Finding) advise(format string, args ...any) { f.advice = fmt.Sprintf(format, args...) }

// saw adds answers to the evidence, each once, and not more than a person reads.
func (f *Finding) saw(answers ...*Answer) {
	for _, a := range answers {
		f.tell("%s", a.String())
	}
}

const maxEvidence = 6

func (f *Finding) tell(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	for _, e := range f.Evidence {
		if e == s {
			return
		}
	}
	if len(f.Evidence) < maxEvidence {
		f.Evidence = append(f.Evidence, s)
	}
}

// schema is the version of the JSON report: fields are added, not changed.
const schema = 1

// A Report is what an examination came to. docs/doctor.md describes its JSON.
type Report struct {
	Schema   int        `json:"schema"`
	URL      string     `json:"url"` // the endpoint that was examined, without query
	Verdict  string     `json:"verdict"`
	Healthy  bool       `json:"healthy"`
	Exit     int        `json:"exit"`
	Engine   int        `json:"engine,omitempty"`  // Engine.IO protocol
	Proxy    string     `json:"proxy,omitempty"`   // the one in sight
	Version  string     `json:"version,omitempty"` // its version, if it says
	Affinity string     `json:"affinity,omitempty"`
	Workers  *Estimate  `json:"workers,omitempty"`
	At       time.Time  `json:"at"`
	Seconds  float64    `json:"seconds"`
	Requests int        `json:"requests"`
	Quick    bool       `json:"quick"`
	Findings []*Finding `json:"findings"`
}

func (r *Report) find(check string) *Finding {
	for _, f := range r.Findings {
		if f.Check == check {
			return f
		}
	}
	return &Finding{}
}

// Find returns the finding of a check; one without a status if it has none.
func (r *Report) Find(check string) *Finding { return r.find(check) }

func (r *Report) with(s Status) (fs []*Finding) {
	for _, f := range r.Findings {
		if f.Status == s {
			fs = append(fs, f)
		}
	}
	return fs
}

// conclude writes the verdict: the first failure is the one to mend first,
// since the checks stand in the order in which one depends on the other.
func (e *exam) conclude(r *Report) {
	r.URL, r.Requests = e.endpoint(), e.requests()
	r.Engine, r.Affinity, r.Workers = e.eio, e.affinity, e.workers
	if p := e.sight(); p.Name != "" {
		r.Proxy, r.Version = p.Name, p.Version
	}
	r.URL = e.secrets.hide(r.URL)
	failures, warnings := r.with(Failure), r.with(Warning)
	switch {
	case len(failures) > 0:
		r.Exit = 1
		if e.nothing {
			r.Exit = 2
		}
		r.Verdict = failures[0].Title
		if n := len(failures) - 1; n > 0 {
			r.Verdict += fmt.Sprintf(" (and %s)", count(n, "more failure"))
		}
	case e.interrupted(r):
		r.Exit, r.Verdict = 1, "interrupted before everything was tried"
	case e.outOf() && !e.sticky:
		r.Exit, r.Verdict = 1, fmt.Sprintf("%s tell nothing: allow more (--requests)", count(r.Requests, "request"))
	case e.outOf():
		r.Healthy, r.Verdict = true, fmt.Sprintf("healthy as far as %s tell (--requests)", count(r.Requests, "request"))
	case len(warnings) == 1:
		r.Healthy, r.Verdict = true, "healthy, with a warning: "+warnings[0].Title
	case len(warnings) > 1:
		r.Healthy, r.Verdict = true, fmt.Sprintf("healthy, with %s", count(len(warnings), "warning"))
	default:
		r.Healthy, r.Verdict = true, "healthy: every request of a session reaches its worker"
	}
}

func (e *exam) interrupted(r *Report) bool {
	for _, f := range r.with(Skipped) {
		if f.Title == "interrupted" {
			return true
		}
	}
	return false
}

// count is "1 thing" or "n things".
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	if strings.HasSuffix(thing, "y") {
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(thing, "y"))
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
