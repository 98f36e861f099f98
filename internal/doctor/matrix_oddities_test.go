package doctor_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/cert/certtest"
	"github.com/samedoor/samedoor/internal/doctor"
	"github.com/samedoor/samedoor/internal/doctor/doctortest"
)

func addrs(ss ...string) (as []netip.Addr) {
	for _, s := range ss {
		as = append(as, netip.MustParseAddr(s))
	}
	return as
}

// secure is a server of Node's with a certificate for name; "": its address.
func secure(kind, name string) func(*testing.T, *world) string {
	return func(t *testing.T, _ *world) string {
		host := doctortest.Host(t)
		if name == "" {
			name = host
		}
		cert, key := certtest.Write(t, name)
		return "https://" + doctortest.Node(t, doctortest.NodeConfig{Kind: kind, Host: host, Cert: cert, Key: key})
	}
}

func https(start func(*testing.T, *world) string) func(*testing.T, *world) string {
	return func(t *testing.T, w *world) string { return strings.Replace(start(t, w), "http://", "https://", 1) }
}

func plain(start func(*testing.T, *world) string) func(*testing.T, *world) string {
	return func(t *testing.T, w *world) string { return strings.Replace(start(t, w), "https://", "http://", 1) }
}

var hasty = doctor.Options{Timeout: time.Second}

var oddities = []subject{
	{name: "certificate for another name", start: secure("tls", "other.example"), exit: 1, want: map[string]string{"reachable": "failure: for another name"}},
	{name: "certificate of nobody", start: secure("tls", ""), exit: 1, want: map[string]string{"reachable": "failure: signed by nobody"}},
	{name: "certificate of nobody, taken", start: secure("tls", ""), with: doctor.Options{Insecure: true}},
	{name: "HTTP/2 only", start: secure("h2", ""), exit: 1, with: doctor.Options{Insecure: true}, want: map[string]string{"reachable": "failure: HTTP/2 only"}},
	{name: "https to http", start: https(node(doctortest.NodeConfig{Kind: "single"})), exit: 1, want: map[string]string{"reachable": "failure: there is no TLS"}},
	{name: "http to https", start: plain(secure("tls", "")), exit: 1, want: map[string]string{"reachable": "failure"}},
	{name: "silence", start: node(doctortest.NodeConfig{Kind: "silent"}), with: hasty, exit: 1, want: map[string]string{"reachable": "failure: never answers"}},
	{name: "silence to https", start: https(node(doctortest.NodeConfig{Kind: "silent"})), with: hasty, exit: 1, want: map[string]string{"reachable": "failure: TLS gets no answer"}},
	{name: "garbage", start: node(doctortest.NodeConfig{Kind: "garbage"}), exit: 1, want: map[string]string{"reachable": "failure: not HTTP"}},
	{name: "nonsense", start: node(doctortest.NodeConfig{Kind: "nonsense"}), exit: 1, want: map[string]string{"reachable": "failure: not Engine.IO"}},
	{name: "a cache", start: node(doctortest.NodeConfig{Kind: "cached"}), exit: 1, want: map[string]string{"sticky": "failure: the same sid"}},
	{name: "a redirect", want: map[string]string{"reachable": "warning: redirected"},
		start: func(t *testing.T, w *world) string {
			return "http://" + doctortest.Node(t, doctortest.NodeConfig{Kind: "redirect", To: "http://" + w.app1})
		}},
	{name: "nothing listens", exit: 2, want: map[string]string{"reachable": "failure: connection refused"},
		start: func(t *testing.T, w *world) string { return "http://" + doctortest.Host(t) + ":8765" }},
	{name: "no such host", exit: 2, want: map[string]string{"reachable": "failure: no such host"},
		start: func(t *testing.T, w *world) string { return "http://nothing.invalid" }},
}
