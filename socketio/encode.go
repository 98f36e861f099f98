package socketio

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"unicode/utf8"
)

// appendJSON appends v as JSON. What events usually carry takes a short way.
func appendJSON(b []byte, v any) ([]byte, error) { return appendValue(b, v, maxEncodeDepth) }

// maxEncodeDepth is how deep the short way goes. encoding/json does the rest: it
// finds out when a value holds itself.
const maxEncodeDepth = 1000

func appendValue(b []byte, v any, depth int) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case string:
		if plain(v) {
			return append(append(append(b, '"'), v...), '"'), nil
		}
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	case float64:
		if i := int64(v); float64(i) == v && i > -1e15 && i < 1e15 && i != 0 {
			return strconv.AppendInt(b, i, 10), nil
		}
	case []any:
		if v != nil && depth > 0 {
			return appendArray(b, v, depth-1)
		}
	case map[string]any:
		if v != nil && depth > 0 {
			return appendMap(b, v, depth-1)
		}
	case json.RawMessage:
		if s := (scanner{b: v, depth: maxEncodeDepth}); s.value() && s.i == len(v) && utf8.Valid(v) {
			return append(b, v...), nil
		}
	}
	e := encoders.Get().(*encoder)
	defer encoders.Put(e)
	e.buf.Reset()
	if err := e.enc.Encode(v); err != nil {
		return b, err
	}
	b = append(b, bytes.TrimSuffix(e.buf.Bytes(), []byte{'\n'})...)
	if e.buf.Cap() > 64<<10 {
		e.buf = bytes.Buffer{}
		e.enc = newEncoder(&e.buf)
	}
	return b, nil
}

func appendArray(b []byte, vs []any, depth int) ([]byte, error) {
	b = append(b, '[')
	for i, v := range vs {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendValue(b, v, depth); err != nil {
			return b, err
		}
	}
	return append(b, ']'), nil
}

// appendMap sorts keys, as encoding/json does.
func appendMap(b []byte, m map[string]any, depth int) ([]byte, error) {
	var few [8]string
	keys := few[:0]
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	b = append(b, '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendJSON(b, k); err != nil {
			return b, err
		}
		if b, err = appendValue(append(b, ':'), m[k], depth); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}

// plain says whether a string needs no escaping.
func plain(s string) bool {
	ascii := true
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c == '"', c == '\\':
			return false
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return ascii || utf8.ValidString(s)
}

type encoder struct {
	buf bytes.Buffer
	enc *json.Encoder
}

var encoders = sync.Pool{New: func() any {
	e := new(encoder)
	e.enc = newEncoder(&e.buf)
	return e
}}

// newEncoder writes what JSON.stringify would: < stays <.
func newEncoder(b *bytes.Buffer) *json.Encoder {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	return e
}
