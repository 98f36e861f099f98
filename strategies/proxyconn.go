package strategies

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Listener returns l with the PROXY protocol understood: connections of trusted
// proxies may begin with its header, which is taken off and gives their
// RemoteAddr. Others are as they were: there, such a header is a bad request.
//
// Accept waits for no header. The first Read or RemoteAddr does, for at most 10 s,
// in the connection's own goroutine.
func (ps Proxies) Listener(l net.Listener) net.Listener {
	if len(ps) == 0 {
		return l
	}
	return &proxyListener{l, ps}
}

type proxyListener struct {
	net.Listener
	proxies Proxies
}

func (l *proxyListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	peer, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok || !l.proxies.Contain(peer.AddrPort().Addr()) {
		return c, nil
	}
	return &ProxyConn{Conn: c, from: peer}, nil
}

// proxyPatience is how long a proxy's first bytes may take.
const proxyPatience = 10 * time.Second

// A ProxyConn is a connection of a trusted proxy. Its RemoteAddr is the client's
// if the proxy told it by the PROXY protocol. A read deadline holds from the
// first Read or RemoteAddr on.
type ProxyConn struct {
	net.Conn
	once sync.Once // reads the header
	from net.Addr
	err  error // of the connection, while the header was read

	mu   sync.Mutex
	rest []byte // what came together with the header
}

// header reads the first bytes: all of a header, or so many that it is none.
func (c *ProxyConn) header() {
	_ = c.Conn.SetReadDeadline(time.Now().Add(proxyPatience))
	defer c.Conn.SetReadDeadline(time.Time{}) // whoever sets one does so before reading on
	var b []byte
	for buf := make([]byte, 512); ; {
		src, n, err := ParsePROXY(b)
		if !errors.Is(err, ErrShortPROXY) {
			if src.IsValid() {
				c.from = net.TCPAddrFromAddrPort(src)
			}
			c.rest = b[n:] // of a broken header all, which makes a bad request
			return
		}
		m, err := c.Conn.Read(buf)
		b = append(b, buf[:m]...)
		if err != nil {
			if c.rest = b; len(b) == 0 || errors.Is(err, os.ErrDeadlineExceeded) {
				c.err = err
			}
			return
		}
	}
}

// Read reads what follows the header.
func (c *ProxyConn) Read(p []byte) (int, error) {
	c.once.Do(c.header)
	c.mu.Lock()
	if len(c.rest) > 0 {
		defer c.mu.Unlock()
		n := copy(p, c.rest)
		if c.rest = c.rest[n:]; len(c.rest) == 0 {
			c.rest = nil
		}
		return n, nil
	}
	c.mu.Unlock()
	if c.err != nil {
		return 0, c.err
	}
	return c.Conn.Read(p)
}

// RemoteAddr is the client's address, or the proxy's if it told none. It waits
// for the header.
func (c *ProxyConn) RemoteAddr() net.Addr {
	c.once.Do(c.header)
	return c.from
}

// CloseWrite says that nothing more will be written.
func (c *ProxyConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}

// NetConn is the connection beneath, of which the header has been read and maybe
// more: see [ProxyConn.Unread].
func (c *ProxyConn) NetConn() net.Conn { return c.Conn }

// Unread is what was read off the connection together with the header, and
// not yet by Read: it belongs in front of what the connection beneath still has.
func (c *ProxyConn) Unread() []byte {
	c.once.Do(c.header)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rest
}

// SyscallConn is the connection's beneath.
func (c *ProxyConn) SyscallConn() (syscall.RawConn, error) {
	if s, ok := c.Conn.(syscall.Conn); ok {
		return s.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

var _ interface {
	net.Conn
	syscall.Conn
} = (*ProxyConn)(nil)
