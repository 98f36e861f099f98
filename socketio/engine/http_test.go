package engine

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// FuzzParseQuery compares with what everybody else reads: where the two differ,
// a request is routed by one sid and served by another.
func FuzzParseQuery(f *testing.F) {
	for _, s := range []string{
		"EIO=4&transport=polling&sid=2.ab&t=x", "sid=&sid=2.ab", "sid&sid=2.ab", "%73id=2%2Eab", "sid=%zz&sid=2.b",
		"sid=2.ab" + strings.Repeat("&", 10_000), "sid=2.ab&x=" + strings.Repeat("x", maxOwn), "sid=1.a;x&sid=2.b", "s%69d=1&sid=2", "%zz=1&sid=2", "E+IO=3&EIO=4", "&&=&sid==", "sid=a+b", "xsid=1&sidx=2",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u := &url.URL{RawQuery: raw}
		q, all := parseQuery(&http.Request{URL: u}), u.Query()
		if want := (query{all.Get("EIO"), all.Get("transport"), all.Get("sid")}); q != want {
			t.Errorf("%q: %+v, want %+v", raw, q, want)
		}
	})
}
