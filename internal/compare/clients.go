package compare

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/samedoor/samedoor/internal/eioclient"
)

// patience is how long one client may take for all it does.
const patience = 15 * time.Second

// An outcome is what one client met.
type outcome struct {
	came      bool   // has a WebSocket, and its echo came back
	why       string // it did not
	slot      int    // of the worker that opened its session, -1 if none did
	requests  int    // Engine.IO requests that were answered
	refused   int    // those answered 400
	forwarded int
	took      time.Duration // from the first request to the WebSocket
}

// visit makes one handshake as a browser does, each request on a connection of
// its own, and sees whether an event comes back. routed: ask /route first where
// to connect, as a page does that is rendered in the browser.
func visit(ctx context.Context, at, from string, routed bool) (o outcome) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	o.slot = -1
	fail := func(step string, err error) outcome {
		o.why = step + ": " + reason(err)
		return o
	}
	begun := time.Now()
	if routed {
		a, err := eioclient.New(at, from).WithContext(ctx).Do(http.MethodGet, "/route", "")
		var to struct{ URL string }
		if err == nil {
			err = json.Unmarshal([]byte(a.Body), &to)
		}
		if err != nil {
			return fail("route", err)
		}
		at = to.URL
	}
	_, conn, steps, err := eioclient.New(at, from).WithContext(ctx).Handshake()
	o.took = time.Since(begun)
	for _, s := range steps {
		if s.Status == 0 {
			continue
		}
		o.requests++
		if s.Name == "open" && s.Status == http.StatusOK {
			o.slot = s.Worker
		}
		if s.Status == http.StatusBadRequest {
			o.refused++
		}
		if s.Via >= 0 {
			o.forwarded++
		}
	}
	last := "open"
	if n := len(steps); n > 0 {
		last = steps[n-1].Name
	}
	switch {
	case err != nil:
		return fail(last, err)
	case conn == nil:
		o.why = last + " answered " + answered(steps[len(steps)-1].Answer)
		return o
	}
	defer conn.Close()
	if _, err := eioclient.Ask(conn, `421["echo","hello"]`, `431["hello"]`); err != nil {
		return fail("echo", err)
	}
	o.came = true
	return o
}

// answered is a refusal in the words of Engine.IO, if they are.
func answered(a eioclient.Answer) string {
	var e struct{ Message string }
	if json.Unmarshal([]byte(a.Body), &e) == nil && e.Message != "" {
		return fmt.Sprintf("%d: %s", a.Status, plain(e.Message))
	}
	return fmt.Sprintf("%d: %s", a.Status, http.StatusText(a.Status))
}

// reason is an error without what differs from client to client.
func reason(err error) string {
	var errno syscall.Errno
	var timeout net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.As(err, &errno):
		return errno.Error()
	}
	for next := err; next != nil; next = errors.Unwrap(next) {
		err = next
	}
	return plain(err.Error())
}

// plain is a text from elsewhere as one line that does nothing to a terminal.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// sources are the addresses that n clients come from, and what is to be said of
// them. Each is in a /24 of its own, since nginx's ip_hash looks no further.
func sources(to netip.Addr, n int) (from []string, note string) {
	one := make([]string, n) // empty: the system's choice, which is the address itself
	switch {
	case !to.Is4():
		return one, "All clients came from one address: IPv6 has a single loopback address. A strategy that hashes addresses sends them all to one worker."
	case !to.IsLoopback():
		return one, "All clients came from one address, that of this machine. A strategy that hashes addresses sends them all to one worker."
	}
	for i := 1; i <= n; i++ {
		a := fmt.Sprintf("127.0.%d.%d", i, i)
		l, err := net.Listen("tcp", a+":0")
		if err != nil {
			return one, "All clients came from 127.0.0.1: this system has no further loopback addresses. A strategy that hashes addresses sends them all to one worker."
		}
		l.Close()
		from = append(from, a)
	}
	return from, ""
}
