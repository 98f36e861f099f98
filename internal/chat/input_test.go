package chat

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParseAuth(t *testing.T) {
	for in, want := range map[string]greeting{
		`{"name":"Ann","room":"hall","client":"k"}`:     {name: "Ann", room: "hall", client: "k"},
		`{"name":"  Ann\t B\u0007  "}`:                  {name: "Ann  B", room: "lobby"},
		`{"name":"\u202eevil\u2066"}`:                   {name: "evil", room: "lobby"},
		`{"name":"👩‍👩‍👧"}`:                              {name: "👩‍👩‍👧", room: "lobby"},
		`{"name":"` + strings.Repeat("ä", 32) + `"}`:    {name: strings.Repeat("ä", 32), room: "lobby"},
		`{"name":"` + strings.Repeat("ä", 33) + `"}`:    {name: "Guest", room: "lobby"},
		`{"name":"\u200d\u200b"}`:                       {name: "Guest", room: "lobby"},
		`{"name":"   "}`:                                {name: "Guest", room: "lobby"},
		`{"name":7,"room":[],"client":{},"offset":1.5}`: {name: "Guest", room: "lobby"},
		`{"room":"` + strings.Repeat("r", 64) + `"}`:    {name: "Guest", room: strings.Repeat("r", 64)},
		`{"room":"` + strings.Repeat("r", 65) + `"}`:    {name: "Guest", room: "lobby"},
		`{"room":" \n"}`:                                {name: "Guest", room: "lobby"},
		`{"client":"` + strings.Repeat("c", 65) + `"}`:  {name: "Guest", room: "lobby"},
		`null`: {name: "Guest", room: "lobby"},
		`[]`:   {name: "Guest", room: "lobby"},
		`"x"`:  {name: "Guest", room: "lobby"},
		`true`: {name: "Guest", room: "lobby"},
	} {
		var v any
		if err := json.Unmarshal([]byte(in), &v); err != nil {
			t.Fatal(in, err)
		}
		got := parseAuth(v)
		if want.name == "Guest" && len(got.name) == len("Guest 4821") {
			got.name = got.name[:5]
		}
		if got != want {
			t.Errorf("%s: %+v, want %+v", in, got, want)
		}
	}
	if g := parseAuth(map[string]any{"offset": "5-3"}); !g.resumes || g.after.Ms != 5 || g.after.Seq != 3 {
		t.Errorf("%+v", g)
	}
	if g := parseAuth(struct{}{}); g.room != "lobby" {
		t.Errorf("%+v", g)
	}
}

func TestBadChat(t *testing.T) {
	w := start(t, embedded(t).URL(), "w", 0)
	ann, m := w.join(t, nil)
	for name, args := range map[string][]any{
		"nothing":       {},
		"null":          {nil},
		"text":          {"hello"},
		"number":        {1.0},
		"list":          {[]any{}},
		"binary":        {&bytes.Buffer{}},
		"empty":         {map[string]any{}},
		"no id":         {map[string]any{"text": "x"}},
		"empty id":      {map[string]any{"id": "", "text": "x"}},
		"id a number":   {map[string]any{"id": 1.0, "text": "x"}},
		"long id":       {map[string]any{"id": strings.Repeat("i", 65), "text": "x"}},
		"no text":       {map[string]any{"id": "1"}},
		"empty text":    {map[string]any{"id": "1", "text": ""}},
		"text binary":   {map[string]any{"id": "1", "text": &bytes.Buffer{}}},
		"long text":     {map[string]any{"id": "1", "text": strings.Repeat("ä", 2001)}},
		"endless text":  {map[string]any{"id": "1", "text": strings.Repeat("x", 1<<20)}},
		"not UTF-8":     {map[string]any{"id": "1", "text": "\xff"}},
		"two arguments": {map[string]any{"id": "1", "text": "x"}, "more"},
	} {
		if got := ask(m, args...); got.OK || got.Error == "" {
			t.Errorf("%s: %+v", name, got)
		}
		before := w.Dropped()
		m.Chat(args, nil)
		m.Typing(args)
		if n := w.Dropped() - before; n != 2 {
			t.Errorf("%s: %d counted as dropped, want 2", name, n)
		}
	}
	for _, ok := range []map[string]any{
		{"id": strings.Repeat("ä", 64), "text": strings.Repeat("😀", 2000)},
		{"id": "1", "text": "x", "more": []any{}},
	} {
		if got := ask(m, ok); !got.OK {
			t.Errorf("%v", got)
		}
	}
	eventually(t, "the good ones", func() bool { return len(ann.seen()) == 2 })
}

func FuzzParseAuth(f *testing.F) {
	for _, s := range []string{`{"name":"Ann"}`, `{"room":"\u0000"}`, `[]`, `{"offset":"1-1","client":7}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var v any
		_ = json.Unmarshal(in, &v)
		g := parseAuth(v)
		if !between(g.name, 1, nameMax) || !visible(g.name) || clean(g.name) != g.name || !between(g.room, 1, roomMax) || !between(g.client, 0, clientMax) {
			t.Errorf("%s: %+v", in, g)
		}
	})
}

func FuzzParseChat(f *testing.F) {
	for _, s := range []string{`[{"id":"1","text":"x"}]`, `[]`, `[{"id":1}]`, `[null,1]`, `[{"on":true}]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var args []any
		_ = json.Unmarshal(in, &args)
		id, text, wrong := parseChat(args)
		if wrong == "" && (!between(id, 1, idMax) || !between(text, 1, textMax)) || !utf8.ValidString(text) {
			t.Errorf("%s: %q %q", in, id, text)
		}
		parseTyping(args)
	})
}
