package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

var reachable = &Check{
	Name: "reachable",
	Doc:  "name, connection, certificate and path lead to an Engine.IO server",
	Run: func(ctx context.Context, e *exam, f *Finding) {
		r := &reach{e: e, f: f}
		for range 4 { // redirects
			if !r.connect(ctx) || !r.ask(ctx) {
				if f.Status == Failure {
					e.stop = "nothing to try it on: see reachable"
				}
				return
			}
		}
		f.fail("redirects lead to further redirects")
		e.stop = "nothing to try it on: see reachable"
	},
}

type reach struct {
	e        *exam
	f        *Finding
	moved    bool
	resolved string
}

// connect looks at what comes before HTTP.
func (r *reach) connect(ctx context.Context) bool {
	e, f := r.e, r.f
	host := e.base.Hostname()
	ctx, cancel := context.WithTimeout(ctx, e.o.Timeout)
	defer cancel()
	if net.ParseIP(host) == nil {
		if _, err := net.DefaultResolver.LookupHost(ctx, host); err != nil {
			f.fail("no such host: %s", excerpt(host))
			f.tell("looking up %s: %s", excerpt(host), dnsReason(err))
			f.because("", "The name has no address, or this machine's name server does not know it.")
			f.advise("Check the spelling, and the DNS record of %s.", excerpt(host))
			e.nothing = !r.moved
			return false
		}
	}
	addr := net.JoinHostPort(host, port(e.base))
	at := time.Now()
	conn, err := e.dialer(e.from(0)).DialContext(ctx, "tcp", addr)
	if err != nil {
		e.nothing = !r.moved
		f.tell("connecting to %s: %s, %s", addr, reason(err), span(time.Since(at)))
		switch {
		case reason(err) == "connection refused":
			f.fail("connection refused by %s", addr)
			f.because("", "Nothing listens on port %s there.", port(e.base))
			f.advise("Start the server, or correct host and port.")
		case reason(err) == "no answer":
			f.fail("no connection to %s within %s", addr, span(e.o.Timeout))
			f.because("", "A firewall drops the packets, or the address is another network's.")
			f.advise("Open port %s in the firewall, or correct the address.", port(e.base))
		default:
			f.fail("no connection to %s: %s", addr, reason(err))
		}
		return false
	}
	defer conn.Close()
	r.resolved = conn.RemoteAddr().String()
	if e.base.Scheme != "https" {
		return true
	}
	return r.secure(ctx, conn, host)
}

// secure tries TLS as a browser does, then as a WebSocket needs it.
func (r *reach) secure(ctx context.Context, conn net.Conn, host string) bool {
	e, f := r.e, r.f
	_ = conn.SetDeadline(time.Now().Add(e.o.Timeout))
	c := tls.Client(conn, &tls.Config{ServerName: host, InsecureSkipVerify: e.o.Insecure, NextProtos: []string{"h2", "http/1.1"}})
	err := c.HandshakeContext(ctx)
	var (
		name    x509.HostnameError
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		record  tls.RecordHeaderError
		opErr   net.Error
	)
	switch {
	case err == nil:
	case errors.As(err, &name):
		f.fail("the certificate is for another name than %s", excerpt(host))
		f.tell("certificate for: %s", excerpt(strings.Join(names(name.Certificate), ", ")))
		f.because("", "Browsers and clients refuse the connection before any request is made.")
		f.advise("Use one of the names above in the URL, or get a certificate for %s. --insecure goes on regardless.", excerpt(host))
	case errors.As(err, &unknown):
		f.fail("the certificate is signed by nobody this machine trusts")
		f.tell("%s", excerpt(err.Error()))
		f.because("", "It is self-signed, or the server leaves out the intermediate certificate.")
		f.advise("Serve the whole chain (fullchain.pem), or a certificate of a public authority. --insecure goes on regardless.")
	case errors.As(err, &invalid):
		f.fail("the certificate is not valid")
		f.tell("%s", excerpt(err.Error()))
		f.because("", "It has expired, or the clock of this machine is wrong.")
		f.advise("Renew the certificate. --insecure goes on regardless.")
	case errors.As(err, &record):
		f.fail("there is no TLS on port %s", port(e.base))
		f.tell("TLS handshake with %s: %s", r.resolved, excerpt(err.Error()))
		f.because("", "The port speaks plain HTTP or something else.")
		f.advise("Try http:// instead of https://, or the port that speaks TLS.")
	case errors.As(err, &opErr) && opErr.Timeout() || errors.Is(err, context.DeadlineExceeded):
		f.fail("TLS gets no answer on port %s", port(e.base))
		f.tell("TLS handshake with %s: no answer within %s", r.resolved, span(e.o.Timeout))
		f.because("", "Something accepts connections there and keeps silent: a plain TCP service, or a server that hangs.")
		f.advise("Check that the server runs, and that port %s is the one that speaks TLS.", port(e.base))
	default:
		f.fail("the TLS handshake fails")
		f.tell("TLS handshake with %s: %s", r.resolved, reason(err))
		f.because("", "Server and client share no TLS version, cipher or name (SNI).")
		f.advise("Offer TLS 1.2 or newer, and a certificate for %s.", excerpt(host))
	}
	if err != nil {
		return false
	}
	state := c.ConnectionState()
	if len(state.PeerCertificates) > 0 {
		if left := time.Until(state.PeerCertificates[0].NotAfter); left < 14*24*time.Hour {
			f.warn("the certificate expires in %s", count(int(left.Hours()/24), "day"))
			f.because("", "After that, no browser connects.")
			f.advise("Renew it, and see why that did not happen by itself.")
		}
	}
	if state.NegotiatedProtocol == "h2" {
		plain, err := e.dialer(e.from(0)).DialContext(ctx, "tcp", r.resolved)
		if err != nil {
			return true
		}
		defer plain.Close()
		cfg := e.tls()
		cfg.ServerName = host
		if err := tls.Client(plain, cfg).HandshakeContext(ctx); err != nil {
			f.fail("the front speaks HTTP/2 only")
			f.tell("TLS offering http/1.1 alone: %s", reason(err))
			f.because("", "A WebSocket is opened by HTTP/1.1 (over HTTP/2 only where both sides know RFC 8441).")
			f.advise("Let the front offer http/1.1 as well (ALPN h2,http/1.1).")
			return false
		}
	}
	return true
}

// ask makes the first request of a client; true means: again, at e.base.
func (r *reach) ask(ctx context.Context) (again bool) {
	e, f := r.e, r.f
	if page := e.page.EscapedPath(); !r.moved && page != "/" && e.o.Path == "" {
		f.note("Examined is %s: a page's path, here %s, is not the endpoint's. --path PATH names another endpoint.", e.path(), excerpt(page))
	}
	d := e.door(e.from(0))
	s, a := e.open(ctx, d, nil)
	e.first, e.firstAnswer = s, a
	if s != nil || r.engineIO(a) {
		if r.moved {
			f.because("", "Polling may follow a redirect, across origins only with CORS; a WebSocket never does.")
			f.advise("Give clients the address %s.", e.base.Scheme+"://"+e.base.Host)
			f.warn("requests are redirected to %s://%s", e.base.Scheme, e.base.Host)
		} else if f.Title == "" {
			f.ok("%s answered in %s", r.resolved, span(a.Took))
		}
		return false
	}
	defer d.shut()
	f.saw(a)
	low := strings.ToLower(a.Body[:min(len(a.Body), 1024)])
	switch {
	case a.Status == 0 && a.timeout():
		f.fail("something accepts connections but never answers")
		f.because("", "The server hangs, its event loop is blocked, or the port belongs to something that waits for another protocol.")
		f.advise("Look at the server's load and log, and check that the port is the one it listens on.")
	case a.Status == 0 && strings.Contains(a.Err.Error(), "malformed HTTP"):
		f.fail("the answer is not HTTP")
		f.because("", "The port speaks another protocol: TLS where http:// was asked for, SSH, a database …")
		f.advise("Try https://, or correct the port.")
	case a.Status == 0:
		f.fail("no HTTP answer: %s", reason(a.Err))
		f.because("", "The server, or a proxy in front, gives up on the request; or the port speaks another protocol.")
		f.advise("Look at the logs of both; try https:// if the port is for TLS.")
	case a.Status >= 300 && a.Status < 400 && a.Header.Get("Location") != "":
		return r.redirected(ctx, a)
	case a.Status == http.StatusOK && a.Err != nil && strings.HasPrefix(a.Body, "0{"):
		f.fail("the answer to the handshake does not end")
		f.because("", "A proxy, or the server, keeps the answer open after its last byte: a client waits for the end.")
		f.advise("Let the answer have its Content-Length, or its last chunk.")
	case e.base.Scheme == "http" && wantsTLS(low):
		f.fail("port %s speaks TLS", port(e.base))
		f.because("", "A plain HTTP request was sent to an HTTPS port.")
		f.advise("Use https:// in the URL.")
	case a.Status == 401 || a.Status == 403 || a.Status == 407:
		f.fail("requests are refused with %d", a.Status)
		f.because("", "A login, an access rule or a firewall stands in front of %s.", e.path())
		f.advise("Let %s through, or hand over what is asked for: --header, --cookie, --bearer.", e.path())
	case a.Status == 502 || a.Status == 503 || a.Status == 504:
		f.fail("the proxy answers %d: it reaches no server", a.Status)
		f.because("", "The server behind it is down, listens elsewhere, or is too slow.")
		f.advise("Start the server, and correct its address in the proxy's configuration.")
	case a.Status == 404 || a.page() || a.Status == 200 || a.Status == 405 || a.Status == 400:
		r.elsewhere(ctx, a)
	default:
		f.fail("the answer to a handshake is %d", a.Status)
		f.because("", "Whatever answers there is not Engine.IO.")
	}
	return false
}

// wantsTLS knows what nginx, Apache httpd and Go say to http on a port of https.
func wantsTLS(low string) bool {
	for _, s := range []string{"plain http request was sent to https port", "speaking plain http to an ssl-enabled server port", "client sent an http request to an https server"} {
		if strings.Contains(low, s) {
			return true
		}
	}
	return false
}

// engineIO tells that the refusal is one of an Engine.IO server.
func (r *reach) engineIO(a *Answer) bool {
	if _, ok := a.engine(); ok {
		return true
	}
	_, eio, err := parseOpen(a.Body)
	return a.Status == http.StatusOK && a.Err == nil && err == nil && eio == 3
}

// elsewhere looks for the endpoint where people put it by mistake.
func (r *reach) elsewhere(ctx context.Context, a *Answer) {
	e, f := r.e, r.f
	tried := []string{e.base.Path}
	likely := []string{"/socket.io/", "/socket.io", "/api/socket.io/", "/ws/socket.io/", "/"}
	if prefix := strings.TrimSuffix(e.page.Path, "/"); prefix != "" {
		stem := prefix[:strings.LastIndexByte(prefix, '/')+1]
		likely = append([]string{prefix + "/", prefix + "/socket.io/", stem + "socket.io/"}, likely...) // itself first: Engine.IO answers below its path as well
	}
	for _, path := range likely {
		if slices.Contains(tried, path) {
			continue
		}
		tried = append(tried, path)
		d := e.door(e.from(0))
		b := d.do(ctx, call{method: "GET", query: "transport=polling", path: path}, nil)
		d.shut()
		if h, _, err := parseOpen(b.Body); err == nil && b.Err == nil && b.Status == http.StatusOK {
			b.Body = strings.ReplaceAll(b.Body, h.SID, short(h.SID))
			f.saw(b)
			f.fail("Engine.IO answers at %s, not at %s", excerpt(path), e.path())
			f.because("prefix", "A proxy adds or strips a prefix, or the server's `path` option differs from the client's.")
			f.advise("Forward %s as it is, or tell clients: io(url, { path: %q }). With --path %s the doctor examines it.", e.path(), excerpt(path), excerpt(path))
			return
		}
	}
	switch {
	case a.Status == 404:
		f.fail("nothing at %s: 404", e.path())
		f.because("prefix", "The proxy does not forward that path, strips its prefix, or no Socket.IO server is attached.")
	case a.page():
		f.fail("a page answers at %s instead of Engine.IO", e.path())
		f.because("prefix", "The request never reaches the Socket.IO server: a static server or a single-page app's catch-all takes it.")
	case a.Status == 200:
		f.fail("the answer is not Engine.IO's")
		f.because("prefix", "Another application answers at %s.", e.path())
	default:
		f.fail("the answer to a handshake is %d", a.Status)
		f.because("prefix", "Whatever answers at %s is not Engine.IO.", e.path())
	}
	f.advise("Send %s to the Socket.IO server, with its path unchanged; --path examines another one.", e.path())
}

// redirected goes where a browser would be sent.
func (r *reach) redirected(ctx context.Context, a *Answer) bool {
	e, f := r.e, r.f
	to, err := e.base.Parse(a.Header.Get("Location"))
	if err != nil || (to.Scheme != "http" && to.Scheme != "https") || to.Hostname() == "" {
		f.fail("the answer is a redirect to nowhere")
		return false
	}
	if !strings.HasSuffix(strings.TrimSuffix(to.Path, "/"), strings.Trim(e.base.Path, "/")) {
		f.fail("requests are redirected to a page: %s", excerpt(bare(to.String())))
		f.because("prefix", "A login or a catch-all takes %s before the Socket.IO server sees it.", e.path())
		f.advise("Exempt %s from the redirect.", e.path())
		return false
	}
	if to.Host == e.base.Host && to.Scheme == e.base.Scheme && to.Path == e.base.Path {
		f.fail("requests are redirected to themselves")
		f.advise("Exempt %s from the redirect.", e.path())
		return false
	}
	if !sameServer(e.base, to) && (len(e.o.Header) > 0 || len(e.o.Auth) > 0 || e.query != "") {
		f.fail("requests are redirected to %s", excerpt(to.Host))
		f.because("", "The doctor does not take what --header, --cookie, --bearer, --auth and the address's query hand over to another server.")
		f.advise("Examine %s://%s itself.", to.Scheme, excerpt(to.Host))
		return false
	}
	r.moved = true
	e.base = &url.URL{Scheme: to.Scheme, Host: to.Host, Path: to.Path}
	return true
}

// sameServer tells that what one may know the other may as well: the same
// scheme, host and port, or the same name by TLS instead of without.
func sameServer(a, b *url.URL) bool {
	if !strings.EqualFold(a.Hostname(), b.Hostname()) {
		return false
	}
	return a.Scheme == b.Scheme && port(a) == port(b) ||
		a.Scheme == "http" && port(a) == "80" && b.Scheme == "https" && port(b) == "443"
}

func names(c *x509.Certificate) []string {
	out := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		out = append(out, ip.String())
	}
	if len(out) == 0 {
		out = append(out, c.Subject.CommonName)
	}
	return out
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}

func dnsReason(err error) string {
	var de *net.DNSError
	if errors.As(err, &de) {
		return de.Err
	}
	return reason(err)
}
