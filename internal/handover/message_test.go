package handover

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

func TestMessage(t *testing.T) {
	for _, m := range []Message{
		{Read: []byte{}},
		{Via: 3, Peer: "192.0.2.1:5", Client: "[2001:db8::1]:0", Read: []byte("GET / HTTP/1.1\r\n\r\n")},
		{Via: 1 << 20, Peer: strings.Repeat("p", 300), Read: bytes.Repeat([]byte{0}, 40<<10)},
	} {
		got, err := Parse(m.Append(nil))
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%+v became %+v, %v", m, got, err)
		}
	}
	good := Message{Via: 1, Peer: "a:1", Client: "b:2"}.Append(nil)
	for name, b := range map[string][]byte{
		"nothing":       nil,
		"other version": append([]byte{version + 1}, good[1:]...),
		"cut short":     good[:len(good)-1],
		"long number":   append([]byte{version}, bytes.Repeat([]byte{0xff}, 20)...),
		"huge address":  {version, 0, 0xff, 0xff, 0xff, 0x7f, 'x'},
		"too big":       make([]byte, MaxSize+1),
	} {
		if m, err := Parse(b); err == nil {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(Message{Via: 1, Peer: "a:1", Client: "b:2", Read: []byte("GET")}.Append(nil))
	f.Add([]byte{version, 0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			return
		}
		again, err := Parse(m.Append(nil))
		if err != nil || !reflect.DeepEqual(m, again) {
			t.Errorf("%+v became %+v, %v", m, again, err)
		}
	})
}

// FuzzHead: what one server has read, another reads the same.
func FuzzHead(f *testing.F) {
	for _, s := range []string{
		"GET /socket.io/?EIO=4&sid=1.x HTTP/1.1\nHost: a\nCookie: a=b\nCookie: c=d\nX: \n\n",
		"POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nTrailer: A, B\nExpect: 100-continue\n\n3\nabc\n0\nA: 1\n\n",
		"POST http://b:1/x?y HTTP/1.1\nHost: a\nContent-Length: 3\nContent-Length: 3\nConnection: close\n\nabc",
		"GET / HTTP/1.0\n\n",
		"GET /%zz HTTP/1.0\nConnection: keep-alive\nTransfer-Encoding: chunked\nPragma: no-cache\n\n",
		"GET / HTTP/1.1\nHost:\n\nGET",
	} {
		f.Add(strings.ReplaceAll(s, "\n", "\r\n"))
	}
	f.Fuzz(func(t *testing.T, s string) {
		in := bufio.NewReader(strings.NewReader(s))
		r, err := http.ReadRequest(in)
		if err != nil || !servable(r) {
			return
		}
		head := appendHead(nil, r)
		rest, _ := io.ReadAll(in) // the body is not read: it is as it was
		again, err := http.ReadRequest(bufio.NewReader(io.MultiReader(bytes.NewReader(head), bytes.NewReader(rest))))
		if err != nil {
			t.Fatalf("%q became %q: %v", s, head, err)
		}
		same := func(what string, a, b any) {
			if !reflect.DeepEqual(a, b) {
				t.Errorf("%s of %q: %#v became %#v", what, s, a, b)
			}
		}
		same("method", r.Method, again.Method)
		same("URI", r.RequestURI, again.RequestURI)
		same("URL", r.URL, again.URL)
		same("version", r.Proto, again.Proto)
		same("host", r.Host, again.Host)
		r.Header.Del("Host") // as a server does
		again.Header.Del("Host")
		same("header", r.Header, again.Header)
		same("transfer encoding", r.TransferEncoding, again.TransferEncoding)
		same("trailer", r.Trailer, again.Trailer)
		same("length", r.ContentLength, again.ContentLength)
		same("close", r.Close, again.Close)
	})
}

// servable leaves out what a server answers by itself, or is never handed over.
func servable(r *http.Request) bool {
	for _, vs := range r.Header {
		for _, v := range vs {
			if strings.ContainsFunc(v, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
				return false
			}
		}
	}
	hosts, told := r.Header["Host"]
	return (r.Method == http.MethodGet || r.Method == http.MethodPost) && r.ProtoMajor == 1 && (r.ProtoMinor == 0 || told && len(hosts) == 1)
}
