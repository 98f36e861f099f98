package socketio

import (
	"bytes"
	"encoding/json"
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
