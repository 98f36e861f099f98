package chat

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/samedoor/samedoor/internal/bus"
)

const (
	nameMax   = 32 // characters, as all of these
	roomMax   = 64
	clientMax = 64
	idMax     = 64
	textMax   = 2000
)

// greeting is a handshake's auth, made sense of. There is no wrong one: what
// can't be used is as if it were absent.
type greeting struct {
	name, room, client string
	after              bus.Offset
	resumes            bool // after was given
}

func parseAuth(auth any) greeting {
	fields, _ := auth.(map[string]any)
	text := func(key string) string { s, _ := fields[key].(string); return s }
	g := greeting{name: clean(text("name")), room: clean(text("room")), client: text("client")}
	if !between(g.name, 1, nameMax) || !visible(g.name) {
		g.name = fmt.Sprintf("Guest %04d", rand.IntN(10000))
	}
	if !between(g.room, 1, roomMax) {
		g.room = "lobby"
	}
	if !between(g.client, 1, clientMax) {
		g.client = ""
	}
	g.after, g.resumes = bus.ParseOffset(text("offset"))
	return g
}

// parseChat returns what is wrong, in words for the sender, or "".
func parseChat(args []any) (id, text, wrong string) {
	if len(args) != 1 {
		return "", "", `chat takes one argument: {"id","text"}`
	}
	fields, ok := args[0].(map[string]any)
	if !ok {
		return "", "", `chat takes an object: {"id","text"}`
	}
	id, ok = fields["id"].(string)
	if !ok || !between(id, 1, idMax) {
		return "", "", fmt.Sprintf("id must be a text of 1 to %d characters", idMax)
	}
	text, ok = fields["text"].(string)
	if !ok || !between(text, 1, textMax) {
		return "", "", fmt.Sprintf("text must be 1 to %d characters", textMax)
	}
	return id, text, ""
}

func parseTyping(args []any) (on, ok bool) {
	if len(args) != 1 {
		return false, false
	}
	fields, _ := args[0].(map[string]any)
	on, ok = fields["on"].(bool)
	return on, ok
}

// between counts characters, but no further than it must.
func between(s string, least, most int) bool {
	if len(s) > utf8.UTFMax*most || !utf8.ValidString(s) {
		return false
	}
	n := utf8.RuneCountInString(s)
	return n >= least && n <= most
}

// clean takes out what would break a line of text that others are shown:
// control characters, and marks that turn the direction of what follows or
// take no room. Joiners stay: emoji and several scripts need them.
func clean(s string) string {
	if len(s) > 4096 {
		return "" // too long whatever is taken out
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r' || r == '\u2028' || r == '\u2029':
			return ' '
		case unicode.IsControl(r), r == utf8.RuneError,
			r == '\u061c', r == '\u200b', r == '\u200e', r == '\u200f', r == '\ufeff',
			r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069':
			return -1
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}

// visible reports whether anything of s is seen.
func visible(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		return unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S)
	})
}
