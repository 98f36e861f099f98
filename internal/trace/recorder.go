package trace

import (
	"context"
	"net/http"
	"strings"

	"github.com/samedoor/samedoor/internal/session"
)

// A Recorder records the requests that one worker sees.
type Recorder struct {
	*Ring
	Slot int                                       // of the worker
	Name string                                    // what its sids begin with
	Via  func(context.Context) (slot int, ok bool) // of the worker that forwarded a request, from its context
}

// Begin starts recording r, of session sid ("" at the open request). It
// replaces r.Body by one that counts.
func (t *Recorder) Begin(w http.ResponseWriter, r *http.Request, sid string) *Request {
	rec := begin(t.Ring, w, r, t.Slot, strings.Clone(sid)) // or the ring would keep the whole URL
	if name, _, ok := session.Split(sid); ok {
		if slot, ok := t.slotOf(name); ok {
			rec.Owner(slot)
		}
	}
	if via, ok := t.Via(r.Context()); ok {
		rec.via(via)
	}
	return rec
}

// slotOf returns the slot that a sid's name stands for.
func (t *Recorder) slotOf(name string) (int, bool) {
	if name == t.Name { // which may tell no slot
		return t.Slot, true
	}
	return session.Slot(name)
}

// Handler is h with what it answers recorded.
func (t *Recorder) Handler(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := t.Begin(w, r, r.URL.Query().Get("sid"))
		defer rec.End()
		h.ServeHTTP(rec.Writer(), r)
	})
}
