package handover

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"syscall"
)

// A Wrapper is a connection that adds nothing to the one beneath but what it
// has read ahead. It is left behind when the one beneath is handed over: nobody
// calls it again, not even to close it. A [tls.Conn] is none.
type Wrapper interface {
	NetConn() net.Conn // what is beneath
	Unread() []byte    // read from there, and not yet from the wrapper
}

// tcp finds the TCP connection that c is in the end.
func tcp(c net.Conn) (*net.TCPConn, bool) {
	for {
		switch v := c.(type) {
		case *net.TCPConn:
			return v, true
		case Wrapper:
			c = v.NetConn()
		default:
			return nil, false
		}
	}
}

// unread is what the wrappers of a connection have read ahead. Nobody may be
// reading.
func unread(c net.Conn) (all []byte) {
	for {
		w, ok := c.(Wrapper)
		if !ok {
			return all
		}
		all = append(all, w.Unread()...)
		c = w.NetConn()
	}
}

// CanTake tells whether the connection c of r can be handed over: plain
// HTTP/1, with a TCP connection beneath. The body must not have been read.
func CanTake(c net.Conn, r *http.Request) bool {
	_, ok := tcp(c)
	return ok && r.TLS == nil && r.ProtoMajor == 1 && (r.Method == http.MethodGet || r.Method == http.MethodPost)
}

// A Conn is a connection on its way: taken from one http.Server, to be served
// by another, of this process or of another.
type Conn struct {
	net.Conn             // what is beneath
	Message              // without Read
	Returned bool        // it could not be handed over: see [Listener.Return]
	unread   []byte      // what Read returns first
	first    atomic.Bool // the first request was claimed
	begun    func()      // called once, when it is, or when that will never be
}

// Take takes the connection c from the server that is about to answer r on it.
// On error it is closed.
func Take(w http.ResponseWriter, r *http.Request, c net.Conn, m Message) (*Conn, error) {
	m.Peer = c.RemoteAddr().String()
	head := appendHead(make([]byte, 0, 2<<10), r)
	_, rw, err := http.NewResponseController(w).Hijack() // it takes back the deadlines, too
	if err != nil {
		c.Close() // net/http may have let go of it
		return nil, fmt.Errorf("take a connection: %w", err)
	}
	ahead, _ := rw.Reader.Peek(rw.Reader.Buffered())
	beneath, ok := tcp(c)
	if !ok {
		c.Close()
		return nil, errors.New("take a connection: it is no TCP connection")
	}
	m.Read = slices.Concat(head, ahead, unread(c)) // in the order they were read
	return newConn(beneath, m), nil
}

func newConn(beneath net.Conn, m Message) *Conn {
	c := &Conn{Conn: beneath, Message: m, unread: m.Read, begun: func() {}}
	c.Message.Read = nil
	return c
}

// Claim returns true for the first request alone: the one that the connection
// was handed over for.
func (c *Conn) Claim() bool {
	if !c.first.CompareAndSwap(false, true) {
		return false
	}
	c.begun()
	return true
}

func (c *Conn) Read(p []byte) (int, error) {
	if len(c.unread) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.unread)
	if c.unread = c.unread[n:]; len(c.unread) == 0 {
		c.unread = nil // a connection may last for days
	}
	return n, nil
}

// NetConn and Unread make Conn a Wrapper: it may be handed over again.
func (c *Conn) NetConn() net.Conn { return c.Conn }
func (c *Conn) Unread() []byte    { return c.unread }

func (c *Conn) RemoteAddr() net.Addr {
	if c.Peer == "" {
		return c.Conn.RemoteAddr()
	}
	return addr(c.Peer)
}

// SyscallConn lets WebSockets write without blocking, as to any TCP connection.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return c.Conn.(syscall.Conn).SyscallConn() }

func (c *Conn) Close() error {
	c.Claim()
	return c.Conn.Close()
}

type addr string

func (addr) Network() string  { return "tcp" }
func (a addr) String() string { return string(a) }
