package trace

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

func TestRingForgetsTheOldest(t *testing.T) {
	r := NewRing(3)
	for i := range 5 {
		r.Add(Entry{SID: "a", At: int64(i)})
	}
	es := r.Of("a", 0)
	if len(es) != 3 || es[0].At != 2 || es[2].At != 4 {
		t.Errorf("got %+v", es)
	}
	if es := r.Of("a", 3); len(es) != 2 || es[0].At != 3 {
		t.Errorf("since 3: %+v", es)
	}
	if got := r.Of("b", 0); got == nil || len(got) != 0 {
		t.Errorf("of an unknown session: %v, want an empty list", got)
	}
}

func TestSort(t *testing.T) {
	es := []Entry{{At: 2, Step: "upgrade"}, {At: 1, Step: "poll"}, {At: 1, Step: "open"}, {At: 1, Step: "post"}, {At: 3, Step: "close"}}
	Sort(es)
	var got []string
	for _, e := range es {
		got = append(got, e.Step)
	}
	if s := strings.Join(got, " "); s != "open post poll upgrade close" {
		t.Error(s)
	}
}

// record serves one request with h and returns what was recorded of it.
func record(t *testing.T, target, body, sid string, h http.HandlerFunc) []Entry {
	t.Helper()
	ring := NewRing(10)
	method := "GET"
	if body != "" {
		method = "POST"
	}
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	rec := begin(ring, httptest.NewRecorder(), r, 2, sid)
	rec.Owner(1)
	h(rec.Writer(), r)
	rec.End()
	return ring.Of(sid, 0)
}

func TestRequests(t *testing.T) {
	for _, tt := range []struct {
		name, target, body string
		h                  http.HandlerFunc
		want               Entry
		err                string
	}{
		{"poll", "/?transport=polling&sid=s", "", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "40") },
			Entry{Step: "poll", Status: 200, Sent: 2}, ""},
		{"post", "/?transport=polling&sid=s", "40", func(w http.ResponseWriter, r *http.Request) { io.ReadAll(r.Body); io.WriteString(w, "ok") },
			Entry{Step: "post", Status: 200, Sent: 2, Received: 2}, ""},
		{"refused", "/?transport=polling&sid=s", "40", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(400)
			io.WriteString(w, `{"code":1,"message":"Session ID unknown"}`)
		}, Entry{Step: "post", Status: 400, Sent: 41}, "Session ID unknown"},
		{"an upgrade that is not one", "/?transport=websocket&sid=s", "", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no\n", http.StatusUpgradeRequired) },
			Entry{Step: "upgrade", Status: 426, Sent: 4}, "no"},
		{"an error without words", "/?transport=polling&sid=s", "", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(502) },
			Entry{Step: "poll", Status: 502}, "Bad Gateway"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			es := record(t, tt.target, tt.body, "s", tt.h)
			if len(es) != 1 {
				t.Fatalf("recorded %d", len(es))
			}
			e := es[0]
			if e.Step != tt.want.Step || e.Status != tt.want.Status || e.Sent != tt.want.Sent || e.Received != tt.want.Received || e.Slot != 2 || *e.Owner != 1 || e.Via != nil {
				t.Errorf("got %+v", e)
			}
			if (e.Error == nil) != (tt.err == "") || e.Error != nil && *e.Error != tt.err {
				t.Errorf("error %v, want %q", e.Error, tt.err)
			}
		})
	}
}

func TestOpenIsFoundByTheSIDItMade(t *testing.T) {
	ring := NewRing(10)
	r := httptest.NewRequest("GET", "/?transport=polling", nil)
	rec := begin(ring, httptest.NewRecorder(), r, 2, "")
	io.WriteString(rec.Writer(), "0{}")
	rec.SetSID("2.x")
	rec.End()
	if es := ring.Of("2.x", 0); len(es) != 1 || es[0].Step != "open" {
		t.Errorf("got %+v", es)
	}
}

// TestWebSocket: its handshake and its end are two entries, whose status and
// sizes JavaScript cannot see. The sid may be told after the answer.
func TestWebSocket(t *testing.T) {
	for _, sid := range []string{"", "s"} {
		ring := NewRing(10)
		done := make(chan struct{})
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer close(done)
			rec := begin(ring, w, r, 2, sid)
			defer rec.End()
			up := websocket.Upgrader{}
			c, err := up.Upgrade(rec.Writer(), r, nil)
			if err != nil {
				t.Error(err)
				return
			}
			rec.SetSID("s")
			kind, b, _ := c.ReadMessage()
			_ = c.WriteMessage(kind, b)
			time.Sleep(time.Millisecond)
			c.Close()
			c.Close() // counts once
		}))
		c, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.URL, "http")+"/?transport=websocket", nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.WriteMessage(websocket.TextMessage, []byte("2probe"))
		_, _, _ = c.ReadMessage()
		c.Close()
		<-done
		s.Close()
		es := ring.Of("s", 0)
		step := "upgrade"
		if sid == "" {
			step = "open"
		}
		if len(es) != 2 || es[0].Step != step || es[0].Status != 101 || es[1].Step != "close" || es[1].Sent != 8 || es[1].Received < 12 || es[1].MS < 1 {
			t.Errorf("got %+v", es)
		}
	}
}

// TestRecorder: whose the session is, and who forwarded, is told of every request
// for which it is known.
func TestRecorder(t *testing.T) {
	type viaKey struct{}
	rec := &Recorder{Ring: NewRing(10), Slot: 2, Name: "chosen", Via: func(ctx context.Context) (int, bool) {
		slot, ok := ctx.Value(viaKey{}).(int)
		return slot, ok
	}}
	h := rec.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	nobody := -1
	for _, tt := range []struct {
		sid        string
		via, owner int
	}{
		{"chosen.x", nobody, 2}, {"3-h.x", nobody, 3}, {"0.x", 1, 0}, {"other.x", nobody, nobody}, {"x", 0, nobody},
	} {
		r := httptest.NewRequest("GET", "/?transport=polling&sid="+tt.sid, nil)
		if tt.via != nobody {
			r = r.WithContext(context.WithValue(r.Context(), viaKey{}, tt.via))
		}
		h.ServeHTTP(httptest.NewRecorder(), r)
		es := rec.Of(tt.sid, 0)
		known := func(slot *int) int {
			if slot == nil {
				return nobody
			}
			return *slot
		}
		if len(es) != 1 || es[0].Slot != 2 || es[0].Status != 204 || known(es[0].Owner) != tt.owner || known(es[0].Via) != tt.via {
			t.Errorf("%s: %+v", tt.sid, es)
		}
	}
}
