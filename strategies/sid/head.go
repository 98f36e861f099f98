package sid

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
)

// is tells what a connection begins with.
type is int

const (
	unfinished is = iota // could become a request
	request              // of HTTP/1
	opaque               // TLS, HTTP/2, or anything else
)

// longestMethod is more than any method has, OPTIONS among them.
const longestMethod = 20

// firstSID reads the sid from the line that a connection's first request begins
// with, as the worker will: the first parameter of that name, decoded. With
// last set, a line that has not ended is read as far as it goes: the owner's
// name stands in front of the sid.
func firstSID(head []byte, last bool) (sid string, _ is) {
	line, _, ended := bytes.Cut(head, []byte{'\n'})
	method, rest, ok := strings.Cut(string(line), " ")
	if len(method) > longestMethod || strings.ContainsFunc(method, func(r rune) bool { return r < 'A' || r > 'Z' }) {
		return "", opaque
	}
	if !ended && !last {
		return "", unfinished
	}
	target, proto, _ := strings.Cut(strings.TrimSuffix(rest, "\r"), " ")
	if !ok || ended && !isHTTP1(proto) {
		return "", opaque
	}
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return "", opaque
	}
	return u.Query().Get("sid"), request
}

// isHTTP1 tells HTTP/1.0 and 1.1 from HTTP/2, whose preface is a line, too.
func isHTTP1(proto string) bool {
	major, _, ok := http.ParseHTTPVersion(proto)
	return ok && major == 1
}
