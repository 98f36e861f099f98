package session

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func ExampleSplit() {
	name, sid, ok := Split("2.Xy7-_aAAAB")
	slot, _ := Slot(name)
	fmt.Println(slot, sid, ok)
	// Output: 2 Xy7-_aAAAB true
}

func TestSplit(t *testing.T) {
	for _, tt := range []struct {
		in, name, sid string
		ok            bool
	}{
		{"2.abc", "2", "abc", true},
		{"2-k7d3fa.a.b", "2-k7d3fa", "a.b", true},
		{"web_a.x", "web_a", "x", true},
		{"abc", "", "abc", false},
		{".abc", "", ".abc", false},
		{"../../etc.x", "", "../../etc.x", false},
		{strings.Repeat("a", 33) + ".x", "", strings.Repeat("a", 33) + ".x", false},
		{"", "", "", false},
	} {
		name, sid, ok := Split(tt.in)
		if name != tt.name || sid != tt.sid || ok != tt.ok {
			t.Errorf("Split(%q) = %q, %q, %v", tt.in, name, sid, ok)
		}
	}
}

func TestSlot(t *testing.T) {
	for name, want := range map[string]int{"0": 0, "12": 12, "3-k7d3fa": 3, "web-a": -1, "": -1, "+1": -1, "-1": -1, "99999999999": -1, "70000": -1} {
		slot, ok := Slot(name)
		if ok != (want >= 0) || ok && slot != want {
			t.Errorf("Slot(%q) = %d, %v, want %d", name, slot, ok, want)
		}
	}
}

func FuzzSplit(f *testing.F) {
	f.Add("2.abc")
	f.Add("2-k7d3fa.a.b")
	f.Add("...")
	f.Fuzz(func(t *testing.T, in string) {
		name, sid, ok := Split(in)
		if ok && Tag(name, sid) != in {
			t.Errorf("Tag(Split(%q)) = %q", in, Tag(name, sid))
		}
		if !ok && sid != in {
			t.Errorf("Split(%q) lost %q", in, sid)
		}
		Slot(name)
	})
}

func TestTagging(t *testing.T) {
	for _, tt := range []struct{ name, body, want, sid string }{
		{"handshake", `0{"sid":"abc","upgrades":["websocket"]}`, `0{"sid":"2.abc","upgrades":["websocket"]}`, "2.abc"},
		{"sid not first", `0{"maxPayload":1000000,"sid":"abc"}`, `0{"maxPayload":1000000,"sid":"2.abc"}`, "2.abc"},
		{"an error", `{"code":1,"message":"Session ID unknown"}`, `{"code":1,"message":"Session ID unknown"}`, ""},
		{"cut short", `0{"sid":"abc`, `0{"sid":"abc`, ""},
		{"empty", "", "", ""},
	} {
		for _, length := range []bool{true, false} {
			t.Run(fmt.Sprint(tt.name, length), func(t *testing.T) {
				var sid string
				s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					w := Tagging(rw, "2", func(s string) { sid = s })
					if length {
						w.Header().Set("Content-Length", fmt.Sprint(len(tt.body)))
					}
					w.WriteHeader(http.StatusAccepted)
					if tt.body != "" {
						if n, err := io.WriteString(w, tt.body); n != len(tt.body) || err != nil {
							t.Errorf("wrote %d, %v", n, err)
						}
					}
					Finish(w)
				}))
				defer s.Close()
				resp, err := http.Get(s.URL)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				got, err := io.ReadAll(resp.Body)
				if err != nil || string(got) != tt.want || resp.StatusCode != http.StatusAccepted || sid != tt.sid {
					t.Errorf("got %d %q, sid %q, %v; want %q, sid %q", resp.StatusCode, got, sid, err, tt.want, tt.sid)
				}
			})
		}
	}
}
