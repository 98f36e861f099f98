package worker

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"

	"github.com/samedoor/samedoor/internal/bus"
	"github.com/samedoor/samedoor/internal/control"
	"github.com/samedoor/samedoor/internal/forward"
	"github.com/samedoor/samedoor/internal/trace"
)

// What workers ask one another.
const (
	statsPath = "/-/stats"
	tracePath = "/-/trace"
)

// questions are answered to other workers alone.
func (w *Worker) questions() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		statsPath: func(rw http.ResponseWriter, r *http.Request) { writeJSON(rw, w.stats()) },
		tracePath: func(rw http.ResponseWriter, r *http.Request) {
			since, _ := strconv.ParseInt(r.URL.Query().Get("since"), 10, 64) // all, if a worker of another version asks
			writeJSON(rw, w.record.Of(r.URL.Query().Get("sid"), since))
		},
	}
}

// stats are the numbers that only the worker itself knows, since it started.
type stats struct {
	ID        string `json:"id"`
	PID       int    `json:"pid"`
	Sessions  int    `json:"sessions"`  // Engine.IO sessions
	Sockets   int    `json:"sockets"`   // Socket.IO sockets, in all namespaces
	Refused   int64  `json:"refused"`   // requests answered "Session ID unknown"
	Forwarded int64  `json:"forwarded"` // strangers handed to their owner
	Dropped   int64  `json:"dropped"`   // events of bad input that wanted no answer
}

func (w *Worker) stats() stats {
	return stats{
		ID: w.boot.ID, PID: pid, Sessions: w.engine.Sessions(), Sockets: int(w.sockets.Load()),
		Refused: w.refused.Load(), Forwarded: w.forward.Forwarded(), Dropped: w.hub.Dropped(),
	}
}

// description is the body of /cluster.
type description struct {
	Strategy string         `json:"strategy"`
	Engine   string         `json:"engine"`
	Workers  []workerStatus `json:"workers"`
	Since    int64          `json:"since"` // milliseconds since 1970
	Warnings []string       `json:"warnings"`
}

type workerStatus struct {
	control.Worker
	Sessions  int   `json:"sessions"`
	Sockets   int   `json:"sockets"`
	Refused   int64 `json:"refused"`
	Forwarded int64 `json:"forwarded"`
	Dropped   int64 `json:"dropped"`
}

// describe joins what the master knows with what each worker counts. A worker
// that does not answer soon keeps zeros, and a warning says so.
func (w *Worker) describe(ctx context.Context) any {
	c := w.snapshot()
	d := description{Strategy: w.info.Name, Engine: w.boot.Engine, Workers: []workerStatus{}, Since: c.Since, Warnings: []string{}}
	known := map[int]control.Worker{}
	for _, o := range c.Workers {
		known[o.Slot] = o
	}
	add := func(k control.Worker, s stats, err error) {
		d.Workers = append(d.Workers, workerStatus{k, s.Sessions, s.Sockets, s.Refused, s.Forwarded, s.Dropped})
		switch {
		case err != nil && k.State == control.Ready:
			d.Warnings = append(d.Warnings, "worker "+strconv.Itoa(k.Slot)+" does not answer")
		case k.State == control.GivenUp:
			d.Warnings = append(d.Warnings, "worker "+strconv.Itoa(k.Slot)+" died too often and was given up: restart the cluster once its cause is mended")
		}
	}
	add(known[w.boot.Slot], w.stats(), nil)
	var mu sync.Mutex
	w.forward.Others(ctx, func(o bus.Worker, ask forward.Ask) {
		var s stats
		err := ask(statsPath, &s)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case o.ID == "": // of this host: the master knows it
			add(known[o.Slot], s, err)
		case err == nil: // elsewhere; one that does not answer is gone, its lease runs out
			add(control.Worker{Slot: o.Slot, ID: o.ID, PID: o.PID, Port: o.Port, State: control.Ready}, s, nil)
		}
	})
	slices.SortFunc(d.Workers, func(a, b workerStatus) int {
		return cmp.Or(cmp.Compare(a.Slot, b.Slot), cmp.Compare(a.ID, b.ID))
	})
	if crowd := crowded(d.Workers); crowd != "" {
		d.Warnings = append(d.Warnings, crowd)
	}
	slices.Sort(d.Warnings)
	return d
}

// collect gathers what all workers saw of a session since a time in
// milliseconds since 1970.
func (w *Worker) collect(ctx context.Context, sid string, since int64) []trace.Entry {
	all := w.record.Of(sid, since)
	if sid == "" {
		return all
	}
	var mu sync.Mutex
	w.forward.Others(ctx, func(_ bus.Worker, ask forward.Ask) {
		var theirs []trace.Entry
		if ask(tracePath+"?sid="+url.QueryEscape(sid)+"&since="+strconv.FormatInt(since, 10), &theirs) == nil {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, theirs...)
		}
	})
	trace.Sort(all)
	return all
}

// enough sessions that their spread is no accident.
const enough = 20

// crowded says which worker holds more than twice its share of the sessions (or,
// of two workers, all of them): usually because its clients share an address.
func crowded(workers []workerStatus) string {
	live, total := 0, 0
	var most workerStatus
	for _, w := range workers {
		if w.State == control.GivenUp {
			continue
		}
		live++
		total += w.Sessions
		if w.Sessions > most.Sessions {
			most = w
		}
	}
	if live < 2 || total < enough || most.Sessions*live <= 2*total && most.Sessions < total {
		return ""
	}
	return fmt.Sprintf("worker %d holds %d of %d sessions: clients that share an address, a proxy's or a NAT's, share a worker; see --trust-proxies, or choose --strategy sid or redis", most.Slot, most.Sessions, total)
}

func writeJSON(rw http.ResponseWriter, v any) {
	writeStatus(rw, http.StatusOK, v)
}

func writeStatus(rw http.ResponseWriter, status int, v any) {
	b, _ := json.Marshal(v)
	rw.Header().Set("Content-Type", "application/json")
	rw.Header().Set("Content-Length", strconv.Itoa(len(b)+1)) // whole once flushed
	rw.WriteHeader(status)
	_, _ = rw.Write(append(b, '\n'))
}
