package socketio

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/samedoor/samedoor/socketio/engine"
)

var defaults = Options{}.withDefaults()

func TestParse(t *testing.T) {
	for _, c := range []struct {
		in    string
		ok    bool
		nsp   string
		id    uint64
		event string
		args  string
	}{
		{`0`, true, "/", noID, "", "[]"},
		{`0/custom,`, true, "/custom", noID, "", "[]"},
		{`0/custom`, true, "/custom", noID, "", "[]"},
		{`0{"token":"1"}`, true, "/", noID, "", "[]"},
		{`1`, true, "/", noID, "", "[]"},
		{`1/custom,`, true, "/custom", noID, "", "[]"},
		{`2["a"]`, true, "/", noID, "a", "[]"},
		{`2["\u00fc\n",1, "x" ,{"y":[]}]`, true, "/", noID, "ü\n", `[1,"x",{"y":[]}]`},
		{`212["a",1]`, true, "/", 12, "a", "[1]"},
		{`2/n,0["a",1]`, true, "/n", 0, "a", "[1]"},
		{`2[3,1]`, true, "/", noID, "3", "[1]"},
		{`37[]`, true, "/", 7, "", "[]"},
		{`3/n,7[null]`, true, "/n", 7, "", "[null]"},
		{``, false, "", 0, "", ""},
		{`9`, false, "", 0, "", ""},
		{`abc`, false, "", 0, "", ""},
		{`0[]`, false, "", 0, "", ""},
		{`0{`, false, "", 0, "", ""},
		{`1{}`, false, "", 0, "", ""},
		{`2`, false, "", 0, "", ""},
		{`2{}`, false, "", 0, "", ""},
		{`2[]`, false, "", 0, "", ""},
		{`2[{}]`, false, "", 0, "", ""},
		{`2["connect"]`, false, "", 0, "", ""},
		{`2["disconnecting"]`, false, "", 0, "", ""},
		{`2["a"`, false, "", 0, "", ""},
		{`2["a"]x`, false, "", 0, "", ""},
		{`2abc["a"]`, false, "", 0, "", ""},
		{`299999999999999999999["a"]`, false, "", 0, "", ""},
		{`3[]`, false, "", 0, "", ""},
		{`4{}`, false, "", 0, "", ""},
		{`5["a"]`, false, "", 0, "", ""},
		{`50-["a"]`, false, "", 0, "", ""},
		{`511-["a"]`, false, "", 0, "", ""},
		{`51.5-["a"]`, false, "", 0, "", ""},
		{`2["a",` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `]`, false, "", 0, "", ""},
	} {
		p, err := parse([]byte(c.in), &defaults)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		if c.ok && (p.nsp != c.nsp || p.id != c.id || p.event != c.event || p.args.String() != c.args) {
			t.Errorf("%s: %q %d %q %s", c.in, p.nsp, p.id, p.event, p.args)
		}
	}
}

func TestBinary(t *testing.T) {
	type inner struct {
		Data []byte `json:"data,omitempty"`
	}
	type Embedded struct{ E []byte }
	for _, c := range []struct {
		name string
		arg  any
		want string // as it arrives, attachments as strings
	}{
		{"bytes", []byte("one"), `"one"`},
		{"none", map[string]any{"a": 1}, `{"a":1}`},
		{"in a map", map[string]any{"a": []byte("one"), "b": []any{[]byte("two")}}, `{"a":"one","b":["two"]}`},
		{"in a struct", inner{[]byte("one")}, `{"data":"one"}`},
		{"left out", inner{}, `{}`},
		{"by pointer", &inner{[]byte("one")}, `{"data":"one"}`},
		{"embedded", struct {
			Embedded
			X int `json:"x"`
			y []byte
		}{Embedded{[]byte("one")}, 2, []byte("no")}, `{"E":"one","x":2}`},
		{"in typed slices", [][]byte{[]byte("one"), []byte("two")}, `["one","two"]`},
		{"in typed maps", map[string]inner{"k": {[]byte("one")}}, `{"k":{"data":"one"}}`},
		{"a time", struct{ T time.Time }{time.Unix(0, 0).UTC()}, `{"T":"1970-01-01T00:00:00Z"}`},
		{"nil", (*inner)(nil), `null`},
	} {
		before, _ := json.Marshal(c.arg)
		packets, err := encode(typeEvent, "/", noID, ptr("e"), []any{c.arg})
		if err != nil {
			t.Fatal(c.name, err)
		}
		if after, _ := json.Marshal(c.arg); !bytes.Equal(before, after) {
			t.Errorf("%s: the argument was changed", c.name)
		}
		got := roundTrip(t, packets)
		b, _ := json.Marshal(stringify(got.Any(0)))
		if string(b) != c.want {
			t.Errorf("%s: %s, want %s", c.name, b, c.want)
		}
	}
	var into struct{ Data []byte }
	a := MakeArgs(inner{[]byte("one")}, []byte("two"))
	var two []byte
	if err := a.Bind(&into, &two); err != nil || string(into.Data) != "one" || string(two) != "two" {
		t.Errorf("%q %q %v", into.Data, two, err)
	}
	if _, err := encode(typeEvent, "/", noID, ptr("e"), []any{func() {}}); err == nil {
		t.Error("a function was encoded")
	}
	loop := map[string]any{}
	loop["self"] = loop
	if _, err := encode(typeEvent, "/", noID, ptr("e"), []any{loop}); err == nil {
		t.Error("a value that holds itself was encoded")
	}
}

func ptr(s string) *string { return &s }

// roundTrip decodes packets as if a client had sent them.
func roundTrip(t *testing.T, packets []engine.Packet) Args {
	t.Helper()
	var d decoder
	for i, p := range packets {
		text, binary := p.Payload()
		got, err := d.add(text, binary, &defaults)
		if err != nil {
			t.Fatal(err)
		}
		if (got != nil) != (i == len(packets)-1) {
			t.Fatal("attachments were counted wrong")
		}
		if got != nil {
			return got.args
		}
	}
	return Args{}
}

func stringify(v any) any {
	switch v := v.(type) {
	case []byte:
		return string(v)
	case []any:
		for i := range v {
			v[i] = stringify(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = stringify(v[k])
		}
	}
	return v
}

func TestAttachmentsOutOfOrder(t *testing.T) {
	text := []byte(`51-["a",{"_placeholder":true,"num":0}]`)
	for name, messages := range map[string][]any{
		"text where an attachment should be": {text, text},
		"an attachment without a text":       {"b"},
		"no such attachment":                 {[]byte(`51-["a",{"_placeholder":true,"num":1}]`), "b"},
		"not a number":                       {[]byte(`51-["a",{"_placeholder":true,"num":"0"}]`), "b"},
	} {
		var d decoder
		var err error
		for _, m := range messages {
			if b, ok := m.([]byte); ok {
				_, err = d.add(b, false, &defaults)
			} else {
				_, err = d.add([]byte(m.(string)), true, &defaults)
			}
		}
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// FuzzDecoder feeds messages, split at 0xff, of which those that begin with 0xfe
// are binary.
func FuzzDecoder(f *testing.F) {
	f.Add([]byte(`2["a",1]`))
	f.Add([]byte("51-[\"a\",{\"_placeholder\":true,\"num\":0}]\xff\xfeabc"))
	f.Add([]byte(`0/x,{"a":[[[[]]]]}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		var d decoder
		for m := range bytes.SplitSeq(in, []byte{0xff}) {
			binary := len(m) > 0 && m[0] == 0xfe
			p, err := d.add(bytes.ToValidUTF8(m, nil), binary, &defaults)
			if err != nil {
				return
			}
			if p == nil || p.typ != typeEvent && p.typ != typeAck {
				continue
			}
			packets, err := encode(typeEvent, p.nsp, p.id, ptr("e"), p.args.All())
			if err != nil {
				t.Fatalf("%q can't be sent back: %v", in, err)
			}
			if again := roundTrip(t, packets); !reflect.DeepEqual(again.All(), p.args.All()) && !strings.Contains(string(m), "_placeholder") {
				t.Errorf("%q became %v, then %v", m, p.args.All(), again.All())
			}
		}
	})
}

// FuzzJSON compares the scanner, decodeAny and appendJSON with encoding/json.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`[1,-0,2.5e3,1e999,"\ud800",{"a":null,"a":true}]`, `["<",false]`, ` [ ] `, `[0123]`, `[-]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bytes.ToValidUTF8(b, []byte("?"))
		var want []any
		err := json.Unmarshal(b, &want)
		parts, ok := elements(b, 10001)
		valid := json.Valid(b) && len(bytes.TrimSpace(b)) > 0 && bytes.TrimSpace(b)[0] == '['
		if ok != valid {
			t.Fatalf("%q: %t, encoding/json says %t", b, ok, valid)
		}
		if !ok || err != nil { // numbers out of range
			return
		}
		got := make([]any, len(parts))
		for i, p := range parts {
			got[i] = decodeAny(p)
		}
		if len(got) != len(want) || len(got) > 0 && !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: %v, want %v", b, got, want)
		}
		out, err := appendJSON(nil, got)
		var again []any
		if err != nil || json.Unmarshal(out, &again) != nil || !reflect.DeepEqual(again, got) && len(got) > 0 {
			t.Fatalf("%q was encoded as %q: %v", b, out, err)
		}
	})
}
