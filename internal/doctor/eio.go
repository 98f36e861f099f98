package doctor

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A Hello is what a server says when it opens a session.
type Hello struct {
	SID          string
	Upgrades     []string
	PingInterval time.Duration
	PingTimeout  time.Duration
	MaxPayload   int // bytes; 0: not announced
}

// maxInterval bounds what is believed of an announced time.
const maxInterval = 24 * time.Hour

// parseOpen reads the answer to a handshake, of Engine.IO 4 (`0{…}`) or 3
// (`96:0{…}2:40`), and tells which it was. The errors are for people.
func parseOpen(body string) (h Hello, eio int, err error) {
	eio = 4
	switch {
	case strings.HasPrefix(body, "0{"):
	case body == "":
		return h, 0, errors.New("an empty body")
	default:
		packets, perr := splitEIO3(body)
		if perr != nil || len(packets) == 0 || !strings.HasPrefix(packets[0], "0{") {
			return h, 0, fmt.Errorf("not an Engine.IO handshake: %s", excerpt(body))
		}
		eio, body = 3, packets[0]
	}
	body, _, _ = strings.Cut(body, "\x1e") // some servers send more in the same answer
	var raw struct {
		SID          *string  `json:"sid"`
		Upgrades     []string `json:"upgrades"`
		PingInterval float64  `json:"pingInterval"`
		PingTimeout  float64  `json:"pingTimeout"`
		MaxPayload   float64  `json:"maxPayload"`
	}
	if err := json.Unmarshal([]byte(body[1:]), &raw); err != nil {
		return h, eio, fmt.Errorf("the handshake is not JSON: %s", excerpt(body))
	}
	if raw.SID == nil || *raw.SID == "" {
		return h, eio, errors.New("the handshake names no sid")
	}
	ms := func(v float64) time.Duration {
		if !(v > 0) {
			return 0
		}
		return min(time.Duration(min(v, 1e12))*time.Millisecond, maxInterval)
	}
	h = Hello{SID: *raw.SID, Upgrades: raw.Upgrades, PingInterval: ms(raw.PingInterval), PingTimeout: ms(raw.PingTimeout)}
	if raw.MaxPayload > 0 {
		h.MaxPayload = int(min(raw.MaxPayload, 1<<40))
	}
	return h, eio, nil
}

// splitEIO3 splits a payload of Engine.IO 3: length in UTF-16 units, a colon,
// the packet. Binary framing (a zero byte, digits, 255) is understood as well.
func splitEIO3(s string) (packets []string, err error) {
	bad := errors.New("not a payload of Engine.IO 3")
	for s != "" {
		if s[0] == 0 || s[0] == 1 { // each digit a byte of its own
			n, i := 0, 1
			for ; i < len(s) && s[i] != 0xff; i++ {
				if s[i] > 9 || i > 9 {
					return nil, bad
				}
				n = n*10 + int(s[i])
			}
			if i+1+n > len(s) {
				return nil, bad
			}
			packets, s = append(packets, s[i+1:i+1+n]), s[i+1+n:]
			continue
		}
		num, rest, ok := strings.Cut(s, ":")
		if !ok || len(num) > 9 {
			return nil, bad
		}
		n, perr := strconv.ParseUint(num, 10, 32)
		if perr != nil {
			return nil, bad
		}
		i := 0
		for units := uint64(0); units < n; {
			if i >= len(rest) {
				return nil, bad
			}
			r, size := utf8.DecodeRuneInString(rest[i:])
			if i += size; r >= 0x10000 {
				units++
			}
			units++
		}
		packets, s = append(packets, rest[:i]), rest[i:]
	}
	return packets, nil
}

// split splits a payload of Engine.IO 4.
func split(body string) []string { return strings.Split(body, "\x1e") }

// An engineError is Engine.IO's own way to say no.
type engineError struct {
	Code    int
	Message string
}

const (
	codeUnknownTransport = 0
	codeUnknownSID       = 1
	codeBadRequest       = 3
	codeForbidden        = 4
	codeUnsupported      = 5
)

// parseError reads `{"code":1,"message":"Session ID unknown"}`. Servers in
// other languages send the message alone, as a JSON string or as plain text.
func parseError(body string) (engineError, bool) {
	var e struct {
		Code    json.RawMessage `json:"code"` // a number, or one in quotes (socketioxide)
		Message string          `json:"message"`
	}
	body = strings.TrimSpace(body)
	if json.Unmarshal([]byte(body), &e) == nil && e.Message != "" {
		if code, err := strconv.Atoi(strings.Trim(string(e.Code), `"`)); err == nil {
			return engineError{code, e.Message}, true
		}
	}
	var s string
	if json.Unmarshal([]byte(body), &s) != nil {
		s = body
	}
	if len(s) > 200 {
		return engineError{}, false
	}
	low := strings.ToLower(s)
	for _, m := range []struct {
		text string
		code int
	}{
		{"session id unknown", codeUnknownSID},
		{"invalid session", codeUnknownSID}, // python-engineio
		{"unknown sid", codeUnknownSID},
		{"unsupported protocol version", codeUnsupported},
		{"unsupported version of the socket.io or engine.io protocols", codeUnsupported}, // python-engineio
		{"transport unknown", codeUnknownTransport},
	} {
		if strings.HasPrefix(low, m.text) {
			return engineError{m.code, s}, true
		}
	}
	return engineError{}, false
}

// A packet is one of Socket.IO, as it stands in an Engine.IO message.
type packet struct {
	Type      byte   // '0' connect, '1' disconnect, '2' event, '4' connect error …
	Namespace string // "/" if none is written
	Data      string // JSON
}

// parseMessage reads an Engine.IO message packet: `40/chat,{"sid":"…"}`.
func parseMessage(s string) (p packet, ok bool) {
	if len(s) < 2 || s[0] != '4' || s[1] < '0' || s[1] > '6' {
		return p, false
	}
	p.Type, p.Namespace, s = s[1], "/", s[2:]
	if p.Type == '5' || p.Type == '6' {
		_, rest, ok := strings.Cut(s, "-")
		if !ok {
			return p, false
		}
		s = rest
	}
	if strings.HasPrefix(s, "/") {
		ns, rest, _ := strings.Cut(s, ",")
		p.Namespace, s = ns, rest
	}
	p.Data = strings.TrimLeft(s, "0123456789")
	return p, true
}

// connectPacket joins a namespace.
func connectPacket(namespace string, auth []byte) string {
	s := "40"
	if namespace != "/" {
		s += namespace + ","
	}
	return s + string(auth)
}

// excerpt is the beginning of a body, in one printable line.
func excerpt(s string) string { return oneLine(s, 90) }

// printable is all of it.
func printable(s string) string { return oneLine(s, math.MaxInt) }

func oneLine(s string, most int) string {
	var b strings.Builder
	space := false
	for _, r := range s {
		switch {
		case r == ' ' || r == '\n' || r == '\t' || r == '\r':
			space = b.Len() > 0
			continue
		case r == '\x1e':
			r = '␞'
		case r < ' ' || r == 0x7f || r == utf8.RuneError || (r >= 0x80 && r < 0xa0) || !strconv.IsPrint(r):
			r = '·'
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		if b.WriteRune(r); b.Len() >= most {
			return b.String() + "…"
		}
	}
	return b.String()
}
