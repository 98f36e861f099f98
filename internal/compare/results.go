package compare

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/samedoor/samedoor/web"
)

// Schema is the version of the results' JSON; docs/compare.md describes it. It
// changes when a field changes its meaning or goes.
const Schema = 1

// Results are what the clients of one run met.
type Results struct {
	Schema     int       `json:"schema"`
	Version    string    `json:"version"` // of samedoor
	At         time.Time `json:"at"`      // when it began, RFC 3339
	Workers    int       `json:"workers"` // of each cluster
	Clients    int       `json:"clients"` // sent through each strategy
	AtOnce     int       `json:"at_once"` // of them
	Note       string    `json:"note"`    // what limits the results, or empty
	Strategies []Row     `json:"strategies"`
}

// A Row is one strategy's. Of one that did not run, only the first five fields
// tell something.
type Row struct {
	Name    string `json:"name"`
	Doc     string `json:"doc"`
	Control bool   `json:"control"` // fails by design
	State   string `json:"state"`   // ready: it ran; else why not, as in /compare/state
	Reason  string `json:"reason"`  // in a sentence, or empty

	CameThrough int       `json:"came_through"` // clients with a WebSocket and an answer over it
	Failed      int       `json:"failed"`       // the others
	Requests    int       `json:"requests"`     // Engine.IO requests answered, of all clients
	Status400   int       `json:"status_400"`   // those refused
	Forwarded   int       `json:"forwarded"`    // those that a worker handed to the owner
	MedianMS    *float64  `json:"median_ms"`    // from the first request to the WebSocket, of those that came through; null if none did
	Sessions    []int     `json:"sessions"`     // opened, by the slot of the worker
	Failures    []Failure `json:"failures"`     // most frequent first

	wanted bool // by name
}

// A Failure is what kept clients out.
type Failure struct {
	Why     string `json:"why"` // step and reason
	Clients int    `json:"clients"`
}

// count fills the row's numbers.
func (r *Row) count(os []outcome, workers int) {
	r.Sessions, r.Failures = make([]int, workers), []Failure{}
	whys := map[string]int{}
	var times []time.Duration
	for _, o := range os {
		r.Requests += o.requests
		r.Status400 += o.refused
		r.Forwarded += o.forwarded
		if o.slot >= 0 && o.slot < workers {
			r.Sessions[o.slot]++
		}
		if o.came {
			r.CameThrough++
			times = append(times, o.took)
			continue
		}
		r.Failed++
		whys[o.why]++
	}
	for _, why := range slices.Sorted(maps.Keys(whys)) {
		r.Failures = append(r.Failures, Failure{why, whys[why]})
	}
	slices.SortStableFunc(r.Failures, func(a, b Failure) int { return cmp.Compare(b.Clients, a.Clients) })
	if n := len(times); n > 0 {
		slices.Sort(times)
		mid := float64(times[(n-1)/2]+times[n/2]) / 2
		ms := float64(int(mid/float64(time.Millisecond)*10+.5)) / 10
		r.MedianMS = &ms
	}
}

// ran tells whether clients were sent.
func (r *Row) ran() bool { return r.State == web.CompareReady }

// median is the time as a person reads it.
func (r *Row) median() string {
	if r.MedianMS == nil {
		return "–"
	}
	return fmt.Sprintf("%.1f ms", *r.MedianMS)
}

// JSON writes the results as the schema has them, indented.
func (r *Results) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	return append(b, '\n'), err
}

// Table writes the results for a terminal.
func (r *Results) Table(w io.Writer) error {
	fmt.Fprintf(w, "%d clients through each strategy, %d at a time, %d workers\n\n", r.Clients, r.AtOnce, r.Workers)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "strategy\tcame through\t400s\tforwarded\tmedian\tsessions by worker")
	for _, s := range r.Strategies {
		if !s.ran() {
			fmt.Fprintf(t, "%s\t–\t\t\t\t\n", s.Name)
			continue
		}
		by := strings.Trim(fmt.Sprint(s.Sessions), "[]")
		fmt.Fprintf(t, "%s\t%d of %d\t%d\t%d\t%s\t%s\n", s.Name, s.CameThrough, r.Clients, s.Status400, s.Forwarded, s.median(), by)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, s := range r.Strategies {
		for _, said := range s.remarks() {
			fmt.Fprintf(w, "\n%s: %s", s.Name, said)
		}
	}
	if r.Note != "" {
		fmt.Fprintf(w, "\n%s", r.Note)
	}
	_, err := fmt.Fprintln(w)
	return err
}

// remarks are what the numbers alone don't say.
func (r *Row) remarks() (all []string) {
	if !r.ran() {
		return []string{r.why()}
	}
	for _, f := range r.Failures {
		all = append(all, fmt.Sprintf("%d failed: %s", f.Clients, f.Why))
	}
	if r.Control && r.Failed > 0 {
		all = append(all, "it is the control, and meant to fail")
	}
	return all
}

// why tells why the strategy did not run.
func (r *Row) why() string {
	if r.State == web.CompareUnavailable {
		return "can't run here: " + r.Reason
	}
	return "did not run (" + r.State + "): " + r.Reason
}

// Wrong lists the strategies that should have brought everybody through, and
// did not. That one can't run here is wrong only if it was asked for by name.
func (r *Results) Wrong() (names []string) {
	for _, s := range r.Strategies {
		missing := !s.ran() && (s.State != web.CompareUnavailable || s.wanted)
		if missing || s.ran() && s.Failed > 0 && !s.Control {
			names = append(names, s.Name)
		}
	}
	return names
}
