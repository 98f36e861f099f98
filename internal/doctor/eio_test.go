package doctor

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestParseOpen(t *testing.T) {
	const four = `0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`
	h, eio, err := parseOpen(four)
	if err != nil || eio != 4 || h.SID != "lv_VI97HAXpY6yYWAAAC" || h.PingInterval != 25*time.Second || h.MaxPayload != 1e6 {
		t.Errorf("%+v, %d, %v", h, eio, err)
	}
	if _, eio, err := parseOpen(`96:0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":5000}2:40`); eio != 3 || err != nil {
		t.Errorf("EIO 3: %d, %v", eio, err)
	}
	if _, eio, err := parseOpen("\x00\x01\x09\xff" + `0{"sid":"abcdefgh"}`); eio != 3 || err != nil {
		t.Errorf("EIO 3, binary: %d, %v", eio, err)
	}
	for _, bad := range []string{"", "ok", "0", "0{", `0{}`, `0{"sid":""}`, `0{"sid":7}`, `0[]`, "<html>", "5:0{}", "999999999999:0{", "\x00", "\x00\x09\x09\xff"} {
		if _, _, err := parseOpen(bad); err == nil {
			t.Errorf("parseOpen(%q) is no error", bad)
		}
	}
	h, _, err = parseOpen(`0{"sid":"x","pingInterval":-1,"pingTimeout":1e300,"maxPayload":1e300}`)
	if err != nil || h.PingInterval != 0 || h.PingTimeout != maxInterval || h.MaxPayload <= 0 {
		t.Errorf("beyond measure: %+v, %v", h, err)
	}
}

func TestParseError(t *testing.T) {
	for body, want := range map[string]int{
		`{"code":1,"message":"Session ID unknown"}`: 1,
		`Session ID unknown`:                        1,
		`"Invalid session abcdef"`:                  1, // python-engineio
		`{"code":3,"message":"Bad request"}`:        3,
		`"The client is using an unsupported version of the Socket.IO or Engine.IO protocols"`: -1,
		`"Unsupported version of the Socket.IO or Engine.IO protocols"`:                        5,
		`{"code":1}`: -1, `{"message":"x"}`: -1, `<html>`: -1, ``: -1, `{"code":1,"message":"`: -1,
	} {
		e, ok := parseError(body)
		if ok != (want >= 0) || ok && e.Code != want {
			t.Errorf("parseError(%s) = %+v, %v", body, e, ok)
		}
	}
}

func TestParseMessage(t *testing.T) {
	for s, want := range map[string]packet{
		`40{"sid":"x"}`:              {'0', "/", `{"sid":"x"}`},
		`40/chat,{"sid":"x"}`:        {'0', "/chat", `{"sid":"x"}`},
		`44/nope,{"message":"no"}`:   {'4', "/nope", `{"message":"no"}`},
		`42/chat,17["a",1]`:          {'2', "/chat", `["a",1]`},
		`451-/chat,["a",{"num":0}]`:  {'5', "/chat", `["a",{"num":0}]`},
		`40/chat`:                    {'0', "/chat", ``},
		`41`:                         {'1', "/", ``},
		`42["a","text with / and,"]`: {'2', "/", `["a","text with / and,"]`},
	} {
		if got, ok := parseMessage(s); !ok || got != want {
			t.Errorf("parseMessage(%s) = %+v, %v", s, got, ok)
		}
	}
	for _, bad := range []string{"", "4", "2", "49", "45", "3probe"} {
		if p, ok := parseMessage(bad); ok {
			t.Errorf("parseMessage(%q) = %+v", bad, p)
		}
	}
}

func TestParseTarget(t *testing.T) {
	for _, c := range []struct{ url, path, base, query string }{
		{"chat.example", "", "http://chat.example/socket.io/", ""},
		{"127.0.0.1:8080", "", "http://127.0.0.1:8080/socket.io/", ""},
		{"[::1]:8080", "", "http://[::1]:8080/socket.io/", ""},
		{"https://chat.example/page?tab=1#top", "", "https://chat.example/socket.io/", ""},
		{"wss://chat.example/socket.io/?EIO=4&transport=websocket&token=x", "", "https://chat.example/socket.io/", "token=x"},
		{"https://chat.example/app/socket.io", "", "https://chat.example/app/socket.io/", ""},
		{"https://chat.example", "ws", "https://chat.example/ws/", ""},
		{"https://user:pass@chat.example/", "/", "https://chat.example/", ""},
	} {
		base, _, query, err := parseTarget(c.url, c.path)
		if err != nil || base.String() != c.base || query != c.query {
			t.Errorf("parseTarget(%s, %s) = %v, %q, %v", c.url, c.path, base, query, err)
		}
	}
	for _, bad := range []string{"", " ", "ftp://x", "http://", "http://:80", "http://x:99999", "http://x:0", "://", "http://a b"} {
		if base, _, _, err := parseTarget(bad, ""); err == nil {
			t.Errorf("parseTarget(%q) = %v", bad, base)
		}
	}
}

func FuzzParseOpen(f *testing.F) {
	f.Add(`0{"sid":"a","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`)
	f.Add(`96:0{"sid":"a"}2:40`)
	f.Add("\x00\x01\x09\xff0{\"sid\":\"abcdefgh\"}")
	f.Add("3:0😀")
	f.Fuzz(func(t *testing.T, body string) {
		h, eio, err := parseOpen(body)
		if err == nil && (h.SID == "" || eio != 3 && eio != 4 || h.PingInterval < 0 || h.PingTimeout > maxInterval || h.MaxPayload < 0) {
			t.Errorf("%q: %+v, %d", body, h, eio)
		}
	})
}

func FuzzSplitEIO3(f *testing.F) {
	f.Add("2:402:ab")
	f.Add("\x00\x01\xff2")
	f.Fuzz(func(t *testing.T, body string) {
		packets, err := splitEIO3(body)
		n := 0
		for _, p := range packets {
			n += len(p)
		}
		if err == nil && n > len(body) {
			t.Errorf("%q: %d bytes out of %d", body, n, len(body))
		}
	})
}

func FuzzParseError(f *testing.F) {
	f.Add(`{"code":1,"message":"Session ID unknown"}`)
	f.Add(`"Invalid session x"`)
	f.Fuzz(func(t *testing.T, body string) {
		if e, ok := parseError(body); ok && e.Message == "" {
			t.Errorf("%q: no message", body)
		}
	})
}

func FuzzParseMessage(f *testing.F) {
	f.Add(`451-/chat,["a",{"num":0}]`)
	f.Fuzz(func(t *testing.T, s string) {
		if p, ok := parseMessage(s); ok && (p.Namespace == "" || p.Namespace[0] != '/') {
			t.Errorf("%q: %+v", s, p)
		}
	})
}

func FuzzParseTarget(f *testing.F) {
	f.Add("https://chat.example/socket.io/?token=x", "")
	f.Add("[::1]:80", "/ws")
	f.Fuzz(func(t *testing.T, url, path string) {
		base, page, _, err := parseTarget(url, path)
		if err == nil && (base.Hostname() == "" || base.Scheme != page.Scheme || !strings.HasPrefix(base.Path, "/") || base.User != nil || base.RawQuery != "") {
			t.Errorf("%q: %v", url, base)
		}
	})
}

func FuzzExcerpt(f *testing.F) {
	f.Add("a\x1eb\n\x1b[31m")
	f.Fuzz(func(t *testing.T, s string) {
		got := excerpt(s)
		if strings.ContainsAny(got, "\n\r\x1b\x00\x7f") || !utf8.ValidString(got) || len(got) > 100 {
			t.Errorf("excerpt(%q) = %q", s, got)
		}
	})
}
