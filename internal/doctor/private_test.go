package doctor

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

// TestPrivate: a server that says what it was told, and where excerpts end,
// gets nothing of it into a report, whatever its format.
func TestPrivate(t *testing.T) {
	for pad := range 12 {
		var sids atomic.Int64
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			reflected := strings.Repeat("x", 8*pad) + " " + r.Header.Get("Authorization") + " " + r.Header.Get("Cookie") + " " + r.Header.Get("X-Key") + " " + q.Get("token")
			switch {
			case q.Get("sid") == "" && q.Get("transport") == "polling" && pad%2 == 0:
				fmt.Fprintf(w, `0{"sid":"unspeakable%08d","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000}`, sids.Add(1))
			case r.Method == "POST" && pad%4 == 0:
				b, _ := json.Marshal(reflected + q.Get("sid"))
				w.WriteHeader(418)
				_, _ = w.Write(b)
			default:
				w.WriteHeader(500)
				fmt.Fprintf(w, "%s %s %s", reflected, r.URL.RawQuery, q.Get("sid"))
			}
		}))
		r, err := Run(t.Context(), Options{
			URL:    strings.Replace(s.URL, "http://", "http://hunter1:hunter2@", 1) + "/socket.io/?token=" + url.QueryEscape("hunter3 <&>"),
			Header: http.Header{"Authorization": {"Bearer hunter4"}, "Cookie": {"a=hunter5; b=hunter6"}, "X-Key": {`hunter7 "quoted"`}},
			Auth:   json.RawMessage(`{"token":"hunter8","more":["hunter9"]}`), Quick: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		_ = r.Text(&b, Style{Width: 100})
		_ = r.JSON(&b, true)
		_ = r.JUnit(&b)
		_ = r.Markdown(&b)
		s.Close()
		for _, secret := range []string{"hunt", "quoted", "unspeakable", "unspe"} {
			if i := strings.Index(b.String(), secret); i >= 0 {
				t.Errorf("%d: %s", pad, b.String()[max(0, i-200):min(b.Len(), i+60)])
				break
			}
		}
	}
}

func TestHide(t *testing.T) {
	s := &secrets{}
	s.add(`pass"word`)
	s.add("ok1")
	s.learn(`0{"sid":"abcdefghij"}`)
	s.learn(`0{"sid":"slash/slash"}`)
	for in, want := range map[string]string{
		`say pass"word`:       "say …",
		`say pass\"word.`:     "say ….",
		"say pass%22word":     "say …",
		`say pass"w…, 3 ms`:   "say …, 3 ms",
		"ok1 book1 ok1":       "… book1 …",
		"sid=slash%2Fslash":   "sid=slas…",
		"sid abcdefghij, ab":  "sid abcd…, ab",
		"sid=abcdefg…, abcd…": "sid=abcd…, abcd…",
	} {
		if got := s.hide(in); got != want {
			t.Errorf("hide(%s) = %s, want %s", in, got, want)
		}
	}
}

// TestErrorsEchoNothing: what was given may hold a password.
func TestErrorsEchoNothing(t *testing.T) {
	for _, o := range []Options{
		{URL: "http://u:hunter2@h:99999"}, {URL: "hunter2://x"}, {URL: "http://u:hunter2@"}, {URL: "http://hunter2\x7f"},
		{URL: "http://h:hunter2"}, {URL: "http://h", Origin: "https://u:hunter2@h"}, {URL: "http://h", Origin: "hunter2"},
	} {
		if _, err := newExam(o); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestSameServer(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"http://h", "http://h:80/x", true},
		{"http://h", "https://H", true},
		{"http://h:8080", "https://h", false},
		{"https://h", "http://h", false},
		{"http://h", "http://h:81", false},
		{"http://h", "http://i", false},
	} {
		a, _ := url.Parse(c.a)
		b, _ := url.Parse(c.b)
		if got := sameServer(a, b); got != c.want {
			t.Errorf("%s, %s: %v", c.a, c.b, got)
		}
	}
}
