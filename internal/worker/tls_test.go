package worker

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"testing"

	"github.com/samedoor/samedoor/internal/cert/certtest"
	"github.com/samedoor/samedoor/internal/control"
)

func told(t *testing.T, version int, cert, key string, tickets ...string) control.TLS {
	t.Helper()
	c, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	k, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	m := control.TLS{Version: version, Cert: c, Key: k}
	for _, s := range tickets {
		m.Tickets = append(m.Tickets, append([]byte(s), make([]byte, 32-len(s))...))
	}
	return m
}

// serveTLS answers one byte to whoever connects.
func serveTLS(t *testing.T, term *terminator) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for tl := term.listener(l); ; {
			c, err := tl.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.WriteString(c, ".")
				c.Close()
			}()
		}
	}()
	return l.Addr().String()
}

func TestTickets(t *testing.T) {
	cert, key := certtest.Write(t, "127.0.0.1")
	config := &tls.Config{InsecureSkipVerify: true, ServerName: "127.0.0.1", ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	resumed := func(addr string) bool {
		t.Helper()
		c, err := tls.Dial("tcp", addr, config)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.ReadAll(c); err != nil { // and with it the next ticket
			t.Fatal(err)
		}
		return c.ConnectionState().DidResume
	}
	one, err := newTerminator(told(t, 0, cert, key, "b", "a"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := newTerminator(told(t, 1, cert, key, "c", "b", "a"))
	if err != nil {
		t.Fatal(err)
	}
	at1, at2 := serveTLS(t, one), serveTLS(t, other)
	if resumed(at1) {
		t.Error("resumed what never began")
	}
	if !resumed(at2) {
		t.Error("a worker that rotated first does not take the ticket of one that has not")
	}
	if resumed(at1) {
		t.Error("a ticket is taken whose key is not known yet")
	}
	if err := one.set(told(t, 0, cert, key, "z")); err != nil || !resumed(at1) {
		t.Errorf("an old message counts (%v)", err)
	}
	if err := one.set(told(t, 2, cert, key, "d")); err != nil || resumed(at1) {
		t.Errorf("a key that was dropped is still taken (%v)", err)
	}
}

func TestSetTLS(t *testing.T) {
	cert, key := certtest.Write(t, "127.0.0.1")
	term, err := newTerminator(told(t, 0, cert, key))
	if err != nil {
		t.Fatal(err)
	}
	before := term.cert.Load()
	broken := told(t, 1, cert, key)
	broken.Key = broken.Key[:20]
	if term.set(broken) == nil || term.cert.Load() != before {
		t.Error("a broken pair is taken")
	}
	if _, err := newTerminator(broken); err == nil {
		t.Error("and begun with")
	}
}
