package strategytest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// interleaved starts a reverse proxy in front of addr that keeps n connections
// to it and sends all clients' requests down these in turn: pipelined, cut into
// pieces anywhere, every other body in chunks. Its connections come from the
// addresses from(0), from(1)…
func interleaved(t *testing.T, addr string, n int) (at string, p *interleaver) {
	t.Helper()
	p = &interleaver{}
	for i := range n {
		p.lines = append(p.lines, &pipeline{addr: addr, from: from(i), most: &p.most})
	}
	to := &url.URL{Scheme: "http", Host: addr}
	front := httptest.NewServer(&httputil.ReverseProxy{
		Transport: p,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to); r.SetXForwarded() },
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusBadGateway)
		},
	})
	t.Cleanup(func() {
		front.Close()
		for _, l := range p.lines {
			l.close()
		}
	})
	return front.URL, p
}

// An interleaver is the side of that proxy towards the server.
type interleaver struct {
	lines []*pipeline
	turn  atomic.Uint32
	most  atomic.Int32 // requests that waited for their answers on one connection
}

// RoundTrip sends a request down the next connection.
func (p *interleaver) RoundTrip(r *http.Request) (*http.Response, error) {
	turn := p.turn.Add(1)
	out := r.Clone(context.WithoutCancel(r.Context())) // what was sent is answered, whoever still listens
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		out.Body = io.NopCloser(bytes.NewReader(body))
		if turn%2 == 0 && len(body) > 0 {
			out.ContentLength = -1
		}
	}
	var raw bytes.Buffer
	if err := out.Write(&raw); err != nil {
		return nil, err
	}
	return p.lines[int(turn)%len(p.lines)].ask(out, raw.Bytes())
}

// A pipeline is one connection, on which requests do not wait for one another.
type pipeline struct {
	addr, from string
	most       *atomic.Int32

	mu      sync.Mutex // held while a request is written
	conn    net.Conn
	waiting chan waiting
}

type waiting struct {
	r    *http.Request
	done chan answered
}

type answered struct {
	resp *http.Response
	err  error
}

func (l *pipeline) ask(r *http.Request, raw []byte) (*http.Response, error) {
	w := waiting{r, make(chan answered, 1)}
	if err := l.send(w, raw); err != nil {
		return nil, err
	}
	a := <-w.done
	return a.resp, a.err
}

func (l *pipeline) send(w waiting, raw []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil {
		d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(l.from)}}
		conn, err := d.Dial("tcp", l.addr)
		if err != nil {
			return err
		}
		l.conn, l.waiting = conn, make(chan waiting, 1000)
		go answers(conn, l.waiting)
	}
	l.waiting <- w
	if n := int32(len(l.waiting)); n > l.most.Load() {
		l.most.Store(n)
	}
	for len(raw) > 0 {
		n := 1 + rand.IntN(min(len(raw), 500))
		if _, err := l.conn.Write(raw[:n]); err != nil {
			return nil // whoever reads the answers learns of it, too
		}
		if raw = raw[n:]; n%8 == 0 {
			time.Sleep(200 * time.Microsecond) // so that the pieces arrive as such
		}
	}
	return nil
}

// answers gives each answer to whoever waits for it, in the order of the requests.
func answers(conn net.Conn, all <-chan waiting) {
	in := bufio.NewReader(conn)
	var failed error
	for w := range all {
		if failed != nil {
			w.done <- answered{nil, failed}
			continue
		}
		_ = conn.SetReadDeadline(time.Now().Add(60 * time.Second))
		resp, err := http.ReadResponse(in, w.r)
		if err == nil {
			var body []byte
			body, err = io.ReadAll(resp.Body)
			resp.Body = io.NopCloser(bytes.NewReader(body))
		}
		if err == nil && resp.Close {
			failed = errors.New("the server closed a connection that was kept")
		}
		if err != nil {
			failed = err
		}
		w.done <- answered{resp, err}
	}
}

func (l *pipeline) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		l.conn.Close()
		close(l.waiting)
		l.conn = nil
	}
}
