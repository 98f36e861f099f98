package sid

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"
)

func TestFirstSID(t *testing.T) {
	long := strings.Repeat("x", 20<<10)
	for name, tt := range map[string]struct {
		head, sid string
		is        is
	}{
		"nothing":           {"", "", unfinished},
		"method":            {"GE", "", unfinished},
		"half a target":     {"GET /socket.io/?sid=2.ab", "", unfinished},
		"a line":            {"GET /socket.io/?EIO=4&sid=2.ab HTTP/1.1\r\n", "2.ab", request},
		"without CR":        {"POST /socket.io/?sid=2.ab HTTP/1.0\n", "2.ab", request},
		"no sid":            {"GET /page HTTP/1.1\r\nX: ?sid=2.ab HTTP/1.1\r\n", "", request},
		"empty sid":         {"GET /?sid=&sid=2.ab HTTP/1.1\r\n", "", request},
		"first of two":      {"GET /?sid=1.a&sid=2.b HTTP/1.1\r\n", "1.a", request},
		"escaped":           {"GET /?%73id=%32%2Eab HTTP/1.1\r\n", "2.ab", request},
		"escaped wrongly":   {"GET /?sid=%zz&sid=2.b HTTP/1.1\r\n", "2.b", request},
		"semicolon":         {"GET /?sid=1.a;x&sid=2.b HTTP/1.1\r\n", "2.b", request},
		"a longer name":     {"GET /?xsid=1.a&sid=2.b HTTP/1.1\r\n", "2.b", request},
		"absolute form":     {"GET http://host:80/socket.io/?sid=2.ab HTTP/1.1\r\n", "2.ab", request},
		"asterisk":          {"OPTIONS * HTTP/1.1\r\n", "", request},
		"worker's id":       {"GET /?sid=2-k7d3fa.Xy HTTP/1.1\r\n", "2-k7d3fa.Xy", request},
		"HTTP/2":            {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "", opaque},
		"TLS":               {"\x16\x03\x01\x02\x00", "", opaque},
		"PROXY":             {"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\nGET /?sid=2.ab HTTP/1.1\r\n", "", opaque},
		"lower case":        {"get /?sid=2.ab HTTP/1.1\r\n", "", opaque},
		"no protocol":       {"GET /?sid=2.ab\r\n", "", opaque},
		"space in target":   {"GET /?sid=2.a b HTTP/1.1\r\n", "", opaque},
		"a long word":       {strings.Repeat("A", 21), "", opaque},
		"an empty line":     {"\r\nGET /?sid=2.ab HTTP/1.1\r\n", "", opaque},
		"a long line":       {"GET /?" + long, "", unfinished},
		"sid in a long one": {"GET /?sid=2.ab&" + long + " HTTP/1.1\r\n", "2.ab", request},
	} {
		if sid, is := firstSID([]byte(tt.head), false); sid != tt.sid || is != tt.is {
			t.Errorf("%s: %q, %d; want %q, %d", name, sid, is, tt.sid, tt.is)
		}
	}
	for head, want := range map[string]string{"": "", "GET": "", "GET /?sid=2.a": "2.a", "GET /?sid=2.a&" + long: "2.a", "GET /?sid=2%2": ""} {
		if sid, is := firstSID([]byte(head), true); sid != want || is == unfinished {
			t.Errorf("last look at %.20q: %q, %d; want %q", head, sid, is, want)
		}
	}
}

// FuzzFirstSID compares with what the worker reads, and wants no answer to
// change when more arrives.
func FuzzFirstSID(f *testing.F) {
	for _, s := range []string{
		"GET /socket.io/?EIO=4&transport=polling&sid=2.ab HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET http://a/?%73id=2-h.a&sid=1.b HTTP/1.1\nHost: a\n\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01", "POST ?sid=1 HTTP/1.1\r\n\r\n",
	} {
		f.Add([]byte(s), uint(20))
	}
	f.Fuzz(func(t *testing.T, head []byte, cut uint) {
		sid, is := firstSID(head, false)
		if r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head))); err == nil && r.ProtoMajor == 1 && is != opaque {
			if want := r.URL.Query().Get("sid"); is != request || sid != want {
				t.Errorf("%q, %d; the worker reads %q", sid, is, want)
			}
		}
		part := head[:min(cut, uint(len(head)))]
		if s, i := firstSID(part, false); i != unfinished && (s != sid || i != is) {
			t.Errorf("%q, %d of %d bytes, %q, %d of all", s, i, len(part), sid, is)
		}
		if _, i := firstSID(part, true); i == unfinished {
			t.Error("a last look is unfinished")
		}
	})
}
