package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

var upgrade = &Check{
	Name: "upgrade",
	Doc:  "a session opened by polling goes on over a WebSocket",
	Run: func(ctx context.Context, e *exam, f *Finding) {
		d := e.door(e.from(1))
		defer d.shut()
		s, a := e.open(ctx, d, nil)
		if s == nil {
			noSession(f, a)
			return
		}
		var conn *websocket.Conn
		strays := 0
		var stray *Answer
		for range max(3, e.tries()) { // always a stranger, or now and then?
			if conn, a = e.dial(ctx, s, wsOptions{}); !a.stranger() {
				break
			}
			stray = a
			strays++
		}
		if conn != nil && strays > 0 {
			e.followed(s, stray) // now and then: like any other follow-up
		}
		if conn == nil {
			refusedUpgrade(ctx, e, f, a, s)
			s.close(ctx, fresh)
			return
		}
		at := time.Now()
		if err := probe(ctx, e, conn); err != nil {
			f.saw(a)
			f.fail("the WebSocket opens, but the probe is not answered")
			f.tell("2probe → %s, %s", reason(err), span(time.Since(at)))
			f.because("upgrade", "A proxy answers 101 by itself, or does not pass frames on both ways.")
			f.advise("Let the proxy pass the connection through once it is upgraded.")
			conn.Close()
			s.close(ctx, fresh)
			return
		}
		took := a.Took + time.Since(at)
		e.closed(s) // it lives on the WebSocket now
		if !talks(ctx, e, conn) {
			f.saw(a)
			f.fail("the WebSocket falls silent after the switch")
			f.tell("%s → no answer", connectPacket(e.o.Namespace, nil))
			f.because("upgrade", "Frames are held back or lost on the way.")
			conn.Close()
			return
		}
		hang(conn)
		f.ok("probed, switched and used in %s", span(took))
		if strays > 0 {
			f.ok("works once the request reaches the owner: see sticky")
		}
	},
}

// probe is what a client does before it trusts a WebSocket with a session.
func probe(ctx context.Context, e *exam, c *websocket.Conn) error {
	if err := write(c, "2probe"); err != nil {
		return err
	}
	m, err := e.read(ctx, c, e.o.Timeout)
	if err == nil && m != "3probe" {
		err = errors.New("answered with " + excerpt(m))
	}
	if err != nil {
		return err
	}
	return write(c, "5")
}

// talks connects to the namespace and waits for any answer to it.
func talks(ctx context.Context, e *exam, c *websocket.Conn) bool {
	if write(c, connectPacket(e.o.Namespace, e.o.Auth)) != nil {
		return false
	}
	for end := time.Now().Add(e.o.Timeout); time.Now().Before(end); {
		m, err := e.read(ctx, c, time.Until(end))
		if err != nil {
			// A server may close rather than refuse: it has answered.
			return websocket.IsCloseError(err, websocket.CloseNormalClosure, websocket.CloseNoStatusReceived, websocket.ClosePolicyViolation)
		}
		if m == "2" && write(c, pong) != nil {
			return false
		}
		if p, ok := parseMessage(m); ok && (p.Type == '0' || p.Type == '4') {
			return true
		}
	}
	return false
}

// refusedUpgrade tells one refusal of a WebSocket from the other.
func refusedUpgrade(ctx context.Context, e *exam, f *Finding, a *Answer, s *session) {
	f.saw(a)
	no, engine := a.engine()
	switch {
	case a.Err == errBudget:
		f.skip("%v", errBudget)
	case a.stranger() && e.sticky:
		f.fail("WebSocket requests reach another worker than polls")
		f.because("sticky", "The proxy sends upgrades another way, or over other connections, than requests.")
	case a.stranger():
		f.Evidence = nil
		f.skip("no request reached the owner: see sticky")
	case a.Status == 403 || engine && no.Code == codeForbidden:
		if forbiddenOrigin(ctx, e, f, s) {
			return
		}
		f.fail("WebSockets are refused with %d", a.Status)
		f.because("", "A firewall, or the server's allowRequest, lets polling through but no upgrade.")
		f.advise("Allow the upgrade of %s there.", e.path())
	case engine && (no.Code == codeBadRequest || no.Code == codeUnknownTransport) && !slices.Contains(e.hello.Upgrades, "websocket"):
		f.Evidence = nil
		f.skip("the server offers no WebSocket: see handshake")
	case engine && (no.Code == codeBadRequest || no.Code == codeUnknownTransport), a.Status == 200, a.Status == 426:
		f.fail("the Upgrade header does not reach the server")
		f.because("upgrade", "A proxy drops the hop-by-hop headers Upgrade and Connection, or speaks HTTP/1.0 or HTTP/2 to the server.")
	case engine:
		f.fail("the server refuses the WebSocket: %s", excerpt(no.Message))
	case a.Status == 404 || a.Status == 405:
		f.fail("WebSocket requests are answered %d", a.Status)
		f.because("upgrade", "The proxy has no route for them, or the server does not offer the websocket transport.")
	case a.Status == 501 || a.Status == 400:
		f.fail("the proxy answers an upgrade with %d", a.Status)
		f.because("upgrade", "It does not know WebSockets, or they are switched off.")
	case a.Status >= 500:
		f.fail("the proxy answers an upgrade with %d", a.Status)
		f.because("upgrade", "It forwards the upgrade to a server that does not take it, or over a protocol that can't carry it (HTTP/2, HTTP/1.0).")
	case a.Status >= 300 && a.Status < 400:
		f.fail("WebSocket requests are redirected, which no client follows")
		f.because("", "A redirect (to https, to a login) stands before %s.", e.path())
		f.advise("Give clients the final address, and exempt %s from redirects.", e.path())
	case a.Status == 101:
		f.fail("the answer to an upgrade is not a valid one")
		f.tell("%s", reason(a.Err))
		f.because("upgrade", "A proxy answers or rewrites the WebSocket handshake.")
	case a.timeout():
		f.fail("WebSocket requests get no answer")
		f.because("upgrade", "The proxy waits for the whole answer before it passes anything on, or drops upgrades.")
	case a.Status == 0 && strings.Contains(reason(a.Err), "closed"), a.Status == 0:
		f.fail("WebSocket requests end without an answer: %s", reason(a.Err))
		f.because("upgrade", "A proxy or firewall cuts connections that ask for an upgrade.")
	default:
		f.fail("WebSocket requests are answered %d", a.Status)
		f.because("upgrade", "Something between client and server does not let upgrades through.")
	}
}

// forbiddenOrigin asks again without an Origin: is that what was refused?
func forbiddenOrigin(ctx context.Context, e *exam, f *Finding, s *session) bool {
	conn, b := e.dial(ctx, s, wsOptions{noOrigin: true})
	hang(conn)
	f.saw(b)
	if conn == nil {
		no, engine := b.engine()
		if stripped := engine && no.Code == codeBadRequest || b.Status == 426; !stripped || !slices.Contains(e.hello.Upgrades, "websocket") {
			return false
		}
		// Past the Origin, the server looks for the upgrade, and finds none.
		f.fail("the Upgrade header does not reach the server, and %s is refused", e.origin())
		cause, fix := "the server's list of origins lacks that one.", fmt.Sprintf("Forward Upgrade and Connection, and add %s to the server's origins.", e.origin())
		if e.o.Origin == "" {
			f.fail("the Upgrade header is dropped on the way, and the Host header rewritten")
			cause = "it rewrites Host, too, which the server compares with Origin."
			fix = "Forward all of them unchanged (nginx: proxy_http_version 1.1, proxy_set_header Upgrade $http_upgrade, Connection \"upgrade\" and Host $http_host)."
		}
		f.because("upgrade", "A proxy drops the hop-by-hop headers Upgrade and Connection; %s", cause)
		f.advise("%s", fix)
		return true
	}
	f.fail("WebSockets from %s are refused", e.origin())
	f.tell("without an Origin header the same request is accepted")
	if e.o.Origin == "" {
		f.because("origin", "The server compares Origin with Host, and a proxy in front rewrites Host; or its list of origins lacks its own.")
		f.advise("Forward the Host header unchanged (nginx: proxy_set_header Host $http_host), or add %s to the server's origins.", e.origin())
	} else {
		f.because("", "The server's list of origins lacks it.")
		f.advise("Add %s to the server's origins (socket.io: cors: { origin: [\"%s\"] } and allowRequest).", e.origin(), e.origin())
	}
	return true
}
