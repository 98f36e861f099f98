package engines

import (
	"bufio"
	"net"
	"net/http"
	"sync"
)

// gated serves a WebSocket's handshake with h, and lets nothing be read from
// the connection before h has returned. The library starts to read before it
// listens to what it reads: by then a quick client's first packet (the probe of
// an upgrade, or CONNECT) was lost once in some hundred to two thousand times,
// and the client waited in vain.
func gated(h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		g := &gate{ResponseWriter: rw, open: make(chan struct{})}
		defer close(g.open)
		h.ServeHTTP(g, r)
	})
}

type gate struct {
	http.ResponseWriter
	open chan struct{}
}

// Unwrap is for http.ResponseController.
func (g *gate) Unwrap() http.ResponseWriter { return g.ResponseWriter }

func (g *gate) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(g.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	return &gatedConn{Conn: c, wait: sync.OnceFunc(func() { <-g.open })}, rw, nil
}

type gatedConn struct {
	net.Conn
	wait func()
}

func (c *gatedConn) Read(p []byte) (int, error) {
	c.wait()
	return c.Conn.Read(p)
}
