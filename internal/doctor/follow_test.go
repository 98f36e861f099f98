package doctor_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/samedoor/samedoor/internal/doctor"
)

func refuse(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNotImplemented) }

// TestFollowUpsFail: what fails in another way than a stranger counts.
func TestFollowUpsFail(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(n int64, w http.ResponseWriter) bool
		status doctor.Status
		title  string
	}{
		{"most", func(n int64, w http.ResponseWriter) bool { w.WriteHeader(502); return n%4 == 0 }, doctor.Failure, "follow-ups fail with 502"},
		{"one", func(n int64, w http.ResponseWriter) bool { w.WriteHeader(502); return n != 4 }, doctor.Warning, "1 of 12 follow-ups fails with 502"},
		{"pages", func(n int64, w http.ResponseWriter) bool {
			_, _ = io.WriteString(w, "<!doctype html><title>Checking</title>")
			return n%4 == 0
		}, doctor.Failure, "follow-ups fail with a page"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var n atomic.Int64
			addr := front(t, stub(t, refuse), func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPost {
					return true
				}
				i := n.Add(1)
				if i > 13 {
					return true
				}
				h := &held{ResponseWriter: w}
				if c.answer(i, h) {
					return true
				}
				h.send()
				return false
			})
			r := examined(t, doctor.Options{URL: addr})
			if f := r.Find("sticky"); f.Status != c.status || !strings.Contains(f.Title, c.title) {
				t.Errorf("%s: %s, want %s", f.Status, f.Title, c.title)
			}
		})
	}
}

// A held answer is sent only if it is wanted.
type held struct {
	http.ResponseWriter
	code int
	body string
}

func (h *held) WriteHeader(code int)        { h.code = code }
func (h *held) Write(b []byte) (int, error) { h.body += string(b); return len(b), nil }
func (h *held) send() {
	if h.code != 0 {
		h.ResponseWriter.WriteHeader(h.code)
	}
	_, _ = io.WriteString(h.ResponseWriter, h.body)
}

// TestOtherStrangers: servers of other makes have their own words for them.
func TestOtherStrangers(t *testing.T) {
	for name, no := range map[string]func(http.ResponseWriter){
		"code as a string": func(w http.ResponseWriter) {
			w.WriteHeader(400)
			fmt.Fprint(w, `{"code":"1","message":"Session ID unknown"}`)
		},
		"empty 500": func(w http.ResponseWriter) { w.WriteHeader(500) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := front(t, stub(t, refuse), func(w http.ResponseWriter, r *http.Request) bool {
				sid := r.URL.Query().Get("sid")
				if sid == "" || strings.HasPrefix(sid, "stub-session-") && rand.IntN(2) == 0 {
					return true
				}
				no(w)
				return false
			})
			r := examined(t, doctor.Options{URL: addr})
			if f := r.Find("sticky"); f.Status != doctor.Failure || !strings.HasPrefix(f.Title, "not sticky") {
				t.Errorf("%s: %s\n%s", f.Status, f.Title, text(t, r))
			}
		})
	}
}
