// Package session puts the owner's name in front of the sid that a worker
// hands out, and takes it off before the Engine.IO server sees it. Whoever
// holds a sid, a worker, a proxy or a person reading the network panel, can
// tell who owns the session without a table, a cookie or a look-up.
//
// The name is the slot ("2.Xy…") within one cluster, or the worker's id
// ("2-k7d3fa.Xy…") where several masters or hosts share a bus. It can be
// forged, so it is only ever looked up among known workers, never used as an
// address.
package session

import (
	"regexp"
	"strconv"
	"strings"
)

// Sep stands between the name and the sid of the Engine.IO server.
const Sep = "."

var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$`)

// ValidName tells whether a worker may be called name: 1 to 32 letters,
// digits, _ and -, so that it is recognised in a sid, a URL and a proxy's map.
func ValidName(name string) bool { return validName.MatchString(name) }

// Tag returns sid with the owner's name in front.
func Tag(name, sid string) string { return name + Sep + sid }

// Split takes a tagged sid apart. ok is false when there is no valid name in it.
func Split(tagged string) (name, sid string, ok bool) {
	name, sid, ok = strings.Cut(tagged, Sep)
	if !ok || !ValidName(name) {
		return "", tagged, false
	}
	return name, sid, true
}

// Slot returns the slot that a name begins with: 2 for "2" and "2-k7d3fa". ok
// is false for names that people chose otherwise.
func Slot(name string) (slot int, ok bool) {
	digits, _, _ := strings.Cut(name, "-")
	slot, err := strconv.Atoi(digits)
	return slot, err == nil && slot >= 0 && slot < 1<<16 && digits[0] != '+'
}
