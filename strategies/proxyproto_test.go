package strategies

import (
	"errors"
	"strings"
	"testing"
)

// Headers as proxies send them.
const (
	v1TCP4 = "PROXY TCP4 198.51.100.7 127.0.0.1 4711 443\r\n"
	v1TCP6 = "PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n"
	v2TCP4 = signatureV2 + "\x21\x11\x00\x0c\xc6\x33\x64\x07\x7f\x00\x00\x01\x12\x67\x01\xbb"
	v2Tail = signatureV2 + "\x21\x11\x00\x10\xc6\x33\x64\x07\x7f\x00\x00\x01\x12\x67\x01\xbb\x04\x00\x01\x00" // and a TLV
	v2TCP6 = signatureV2 + "\x21\x21\x00\x24\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x12\x67\x01\xbb"
	v2Local = signatureV2 + "\x20\x00\x00\x00"
	v2Unix  = signatureV2 + "\x21\x31\x00\x02ab"
	get     = "GET / HTTP/1.1\r\n"
)

func TestParsePROXY(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{v1TCP4, "198.51.100.7:4711"},
		{v1TCP6, "[2001:db8::7]:4711"},
		{"PROXY UNKNOWN\r\n", ""},
		{"PROXY UNKNOWN 1.2.3.4 and so on\r\n", ""},
		{"PROXY TCP6 ::ffff:198.51.100.7 ::1 1 2\r\n", "198.51.100.7:1"},
		{v2TCP4, "198.51.100.7:4711"},
		{v2Tail, "198.51.100.7:4711"},
		{v2TCP6, "[2001:db8::7]:4711"},
		{v2Local, ""},
		{v2Unix, ""},
	} {
		src, n, err := ParsePROXY([]byte(tt.in + get))
		got := ""
		if src.IsValid() {
			got = src.String()
		}
		if err != nil || n != len(tt.in) || got != tt.want {
			t.Errorf("%q: %s, %d of %d bytes, %v; want %s", tt.in, got, n, len(tt.in), err, tt.want)
		}
		for i := range len(tt.in) { // it may come byte by byte
			if _, _, err := ParsePROXY([]byte(tt.in[:i])); !errors.Is(err, ErrShortPROXY) {
				t.Errorf("%q, the first %d bytes: %v", tt.in, i, err)
			}
		}
	}
}

func TestParsePROXYNone(t *testing.T) {
	for _, in := range []string{get, "POST / HTTP/1.1\r\n", "PUT", "PROXYS", "\x16\x03\x01", "\r\nGET", "\r\n\r\n\x00\r\nQUIX"} {
		if src, n, err := ParsePROXY([]byte(in)); src.IsValid() || n != 0 || err != nil {
			t.Errorf("%q: %v %d %v", in, src, n, err)
		}
	}
	for _, in := range []string{
		"PROXY \r\n", "PROXY TCP4\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
		"PROXY TCP4 ::1 ::1 1 2\r\n", "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY TCP6 fe80::1%a ::1 1 2\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n", "PROXY TCP4 a b 1 2\r\n",
		"PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n", "PROXY " + strings.Repeat("x", 101),
		signatureV2 + "\x11\x11\x00\x0c", // version 1 of the binary one
		signatureV2 + "\x22\x11\x00\x0c", // no such command
		signatureV2 + "\x21\x11\xff\xff", // too long
		signatureV2 + "\x21\x11\x00\x04abcd",
		signatureV2 + "\x21\x21\x00\x0c0123456789ab",
	} {
		if src, n, err := ParsePROXY([]byte(in)); src.IsValid() || n != 0 || !errors.Is(err, ErrPROXY) {
			t.Errorf("%q: %v %d %v", in, src, n, err)
		}
	}
}

func FuzzParsePROXY(f *testing.F) {
	for _, s := range []string{v1TCP4, v1TCP6, v2TCP4, v2Tail, v2TCP6, v2Local, v2Unix, get, "PROXY UNKNOWN\r\n"} {
		f.Add([]byte(s + get))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		src, n, err := ParsePROXY(b)
		switch {
		case n < 0 || n > len(b) || n > maxV2:
			t.Fatalf("%d of %d bytes", n, len(b))
		case src.IsValid() && (n == 0 || src.Addr().Is4In6() || src.Addr().Zone() != ""):
			t.Fatalf("%v of a header of %d bytes", src, n)
		case err != nil && n != 0:
			t.Fatalf("%d %v", n, err)
		case errors.Is(err, ErrShortPROXY) && len(b) > maxV2:
			t.Fatalf("%d bytes are not enough", len(b))
		}
		if err == nil { // whatever follows changes nothing
			src2, n2, err2 := ParsePROXY(append(b[:len(b):len(b)], get...))
			if n > 0 && (src2 != src || n2 != n || err2 != nil) {
				t.Fatalf("%v %d; with more behind it %v %d %v", src, n, src2, n2, err2)
			}
		}
	})
}
