package doctor

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

var cors = &Check{
	Name: "cors",
	Doc:  "pages of the given origin may connect",
	Run: func(ctx context.Context, e *exam, f *Finding) {
		if e.o.Origin == "" {
			f.skip("for pages of another origin: --origin https://chat.example")
			return
		}
		origin := e.origin()
		if strings.EqualFold(origin, e.base.Scheme+"://"+e.base.Host) {
			f.ok("%s is the server's own origin", origin)
			return
		}
		d := e.door(e.from(0))
		defer d.shut()
		s, a := e.open(ctx, d, http.Header{"Origin": {origin}})
		if s == nil {
			f.saw(a)
			f.fail("a handshake from %s is refused with %d", origin, a.Status)
			f.because("", "The server's list of origins lacks it.")
			f.advise("Allow it on the server: cors: { origin: [%q] }.", origin)
			return
		}
		defer s.close(ctx, to{door: d})
		pre := d.do(ctx, call{method: "OPTIONS", query: "transport=polling&sid=" + url.QueryEscape(s.SID), header: http.Header{
			"Origin": {origin}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"content-type,authorization"},
		}}, s)
		allow := a.Header.Values("Access-Control-Allow-Origin")
		creds := a.Header.Get("Access-Control-Allow-Credentials") == "true"
		for _, v := range allow {
			f.tell("handshake: Access-Control-Allow-Origin: %s", excerpt(v))
		}
		switch {
		case len(allow) > 1 || len(allow) == 1 && strings.Contains(allow[0], ","):
			f.fail("Access-Control-Allow-Origin stands there twice: browsers refuse both")
			f.because("", "The server and a proxy both add it.")
			f.advise("Let only one of them do it; in nginx: remove add_header, or proxy_hide_header Access-Control-Allow-Origin.")
		case len(allow) == 0:
			f.saw(a)
			f.fail("pages of %s may not read the answers", origin)
			f.because("", "The answer lacks Access-Control-Allow-Origin: socket.io adds it for the origins it is told.")
			f.advise("On the server: cors: { origin: [%q]%s }.", origin, credsOption(e))
		case allow[0] != "*" && !strings.EqualFold(strings.TrimSuffix(allow[0], "/"), origin):
			f.fail("only pages of %s may connect, not %s", excerpt(allow[0]), origin)
			f.because("", "The server's list of origins names another.")
			f.advise("On the server: cors: { origin: [%q]%s }.", origin, credsOption(e))
		case e.o.Creds && (!creds || allow[0] == "*"):
			f.fail("pages of %s may not send cookies", origin)
			f.because("", "withCredentials needs Access-Control-Allow-Credentials: true and the origin by name, not *.")
			f.advise("On the server: cors: { origin: [%q], credentials: true }.", origin)
		case e.affinity == affinityCookie && !crossSiteCookies(a.Header) && site(origin) != site("http://"+e.base.Host):
			f.fail("the cookie that decides the worker is not sent by pages of another site")
			f.tell("the cookie lacks SameSite=None; Secure")
			f.because("", "Browsers send a cookie across sites only with SameSite=None; Secure, and with withCredentials.")
			f.advise("Set both on the balancer's cookie, withCredentials on the client and credentials: true on the server; or balance by address.")
		case pre.Status >= 400 || pre.Status == 0 || pre.Header.Get("Access-Control-Allow-Origin") == "":
			f.saw(pre)
			f.warn("a preflight is not answered: requests with headers of their own fail")
			f.because("", "OPTIONS does not reach the server, or the proxy answers it.")
			f.advise("Forward OPTIONS below %s like GET and POST. Clients without extraHeaders need none.", e.path())
		default:
			f.ok("%s may connect", origin)
			if e.o.Creds {
				f.ok("%s may connect, with cookies", origin)
			}
		}
	},
}

func credsOption(e *exam) string {
	if e.o.Creds {
		return ", credentials: true"
	}
	return ""
}

func crossSiteCookies(h http.Header) bool {
	for _, c := range (&http.Response{Header: h}).Cookies() {
		if c.SameSite == http.SameSiteNoneMode && c.Secure {
			return true
		}
	}
	return false
}

// site is the registrable domain as far as it can be told without a list of
// public suffixes: the last two labels, or an address.
func site(origin string) string {
	u, err := url.Parse(origin)
	if err != nil {
		return origin
	}
	h := u.Hostname()
	if strings.Contains(h, ":") || strings.Trim(h, "0123456789.") == "" {
		return h
	}
	l := strings.Split(h, ".")
	return strings.Join(l[max(0, len(l)-2):], ".")
}
