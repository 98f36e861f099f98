package worker

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/samedoor/samedoor/internal/cert"
	"github.com/samedoor/samedoor/internal/control"
)

// terminator ends TLS on the public listeners. What it serves may change while
// connections live.
type terminator struct {
	config *tls.Config
	cert   atomic.Pointer[tls.Certificate]

	mu      sync.Mutex
	version int
}

func newTerminator(told control.TLS) (*terminator, error) {
	t := &terminator{version: -1}
	t.config = &tls.Config{
		// Pages by HTTP/2. Browsers ask for WebSockets on connections of their
		// own, by HTTP/1.1 alone.
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return t.cert.Load(), nil },
	}
	return t, t.set(told)
}

// set takes another certificate and other ticket keys: the first makes tickets,
// all of them are taken. Without any, this worker makes its own.
func (t *terminator) set(told control.TLS) error {
	pair, err := tls.X509KeyPair(told.Cert, told.Key)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if told.Version <= t.version {
		return nil
	}
	t.version = told.Version
	t.cert.Store(&pair)
	if len(told.Tickets) > 0 {
		keys := make([][32]byte, len(told.Tickets))
		for i, k := range told.Tickets {
			copy(keys[i][:], k)
		}
		t.config.SetSessionTicketKeys(keys)
	}
	return nil
}

// listener speaks TLS on l. (http.Server.ServeTLS would work on a copy of the
// configuration, which never learns of other ticket keys.)
func (t *terminator) listener(l net.Listener) net.Listener {
	if t == nil {
		return l
	}
	return tls.NewListener(l, t.config)
}

// SetTLS tells the worker of another certificate or other ticket keys.
func (w *Worker) SetTLS(told control.TLS) {
	if w.tls == nil {
		return
	}
	if err := w.tls.set(told); err != nil { // the master has checked it
		w.log.Error("the new certificate cannot be used, the old one stays", "error", err)
	}
}

// followCert reads the certificate again when its files change, there being no
// master to do it.
func (w *Worker) followCert(ctx context.Context, files cert.Files, have *cert.Pair) {
	version := 0
	files.Watch(ctx, time.Second, have, w.log, func(p *cert.Pair) {
		version++
		w.SetTLS(control.TLS{Version: version, Cert: p.Cert, Key: p.Key})
	})
}
