package socketio

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"unicode/utf8"
)

// A scanner validates JSON up to a depth. The standard decoder goes down ten
// thousand levels, at the cost of a client's choosing.
type scanner struct {
	b     []byte
	i     int
	depth int // that may still be entered
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

func (s *scanner) next(c byte) bool {
	s.space()
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

// value steps over one value.
func (s *scanner) value() bool {
	s.space()
	if s.i >= len(s.b) {
		return false
	}
	switch c := s.b[s.i]; c {
	case '"':
		return s.str()
	case '{', '[':
		return s.nested(c)
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	}
	return s.number()
}

func (s *scanner) nested(c byte) bool {
	if s.depth--; s.depth < 0 {
		return false
	}
	s.i++
	end := c + 2 // ']' after '[', '}' after '{'
	if !s.next(end) {
		for {
			if c == '{' {
				if s.space(); s.i >= len(s.b) || s.b[s.i] != '"' || !s.str() || !s.next(':') {
					return false
				}
			}
			if !s.value() {
				return false
			}
			if s.next(end) {
				break
			}
			if !s.next(',') {
				return false
			}
		}
	}
	s.depth++
	return true
}

func (s *scanner) word(w string) bool {
	if !bytes.HasPrefix(s.b[s.i:], []byte(w)) {
		return false
	}
	s.i += len(w)
	return true
}

func (s *scanner) str() bool {
	for s.i++; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return true
		case c < ' ':
			return false
		case c == '\\':
			s.i++
			if s.i >= len(s.b) {
				return false
			}
			switch s.b[s.i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				if len(s.b)-s.i < 5 {
					return false
				}
				for _, h := range s.b[s.i+1 : s.i+5] {
					if (h < '0' || h > '9') && (h|0x20 < 'a' || h|0x20 > 'f') {
						return false
					}
				}
				s.i += 4
			default:
				return false
			}
		}
	}
	return false
}

func (s *scanner) digits() bool {
	from := s.i
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i > from
}

func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *scanner) number() bool {
	if s.peek() == '-' {
		s.i++
	}
	if s.peek() == '0' {
		s.i++
	} else if !s.digits() {
		return false
	}
	if s.peek() == '.' {
		if s.i++; !s.digits() {
			return false
		}
	}
	if s.peek()|0x20 == 'e' {
		s.i++
		if c := s.peek(); c == '+' || c == '-' {
			s.i++
		}
		return s.digits()
	}
	return true
}

// elements splits a JSON array, which it validates whole.
func elements(b []byte, depth int) ([]json.RawMessage, bool) {
	s := scanner{b: b, depth: depth - 1}
	if depth < 1 || !s.next('[') {
		return nil, false
	}
	var out []json.RawMessage
	if !s.next(']') {
		out = make([]json.RawMessage, 0, 4)
		for {
			s.space()
			from := s.i
			if !s.value() {
				return nil, false
			}
			out = append(out, b[from:s.i:s.i])
			if s.next(']') {
				break
			}
			if !s.next(',') {
				return nil, false
			}
		}
	}
	s.space()
	return out, s.i == len(b)
}

// isObject validates a JSON object.
func isObject(b []byte, depth int) bool {
	s := scanner{b: b, depth: depth}
	s.space()
	if s.peek() != '{' || !s.value() {
		return false
	}
	s.space()
	return s.i == len(b)
}

// unquote returns the text of a JSON string that was validated.
func unquote(b []byte) string {
	if bytes.IndexByte(b, '\\') < 0 {
		return string(b[1 : len(b)-1])
	}
	var s string
	_ = json.Unmarshal(b, &s)
	return s
}

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
