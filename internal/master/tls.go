package master

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"github.com/samedoor/samedoor/internal/cert"
	"github.com/samedoor/samedoor/internal/control"
)

const (
	// certInterval is how often the certificate's files are looked at.
	certInterval = time.Second

	// ticketInterval is how long session tickets are made with one key. With
	// ticketKeys of them, a session can be resumed for 18 to 24 hours.
	ticketInterval = 6 * time.Hour
	ticketKeys     = 4
)

// terminator is what whoever ends TLS needs: all workers, so that a session can
// be resumed at any of them, or the strategy's own front.
type terminator struct {
	control.TLS
	pair    *cert.Pair
	changed chan struct{} // closed when the pair changes
}

// openTLS reads the certificate, if there is one.
func (m *Master) openTLS() error {
	if err := m.TLS.Check(); err != nil || m.TLS.Cert == "" {
		return err
	}
	pair, err := m.TLS.Load()
	if err != nil {
		return err
	}
	pair.Warn(m.log)
	m.boot.HTTPS = true
	m.tls = &terminator{
		TLS:  control.TLS{Cert: pair.Cert, Key: pair.Key, Tickets: rotate(nil)},
		pair: pair, changed: make(chan struct{}),
	}
	return nil
}

// rotate returns the keys with a new one in front, and without the oldest.
func rotate(keys [][]byte) [][]byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return slices.Insert(slices.Clone(keys[:min(len(keys), ticketKeys-1)]), 0, key)
}

// keepTickets rotates the ticket keys until ctx is done.
func (m *Master) keepTickets(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-time.After(ticketInterval):
			m.setTLS(func(t *terminator) { t.Tickets = rotate(t.Tickets) })
		case <-ctx.Done():
		}
	}
}

// keepCertificate reads it again when its files change, until ctx is done.
func (m *Master) keepCertificate(ctx context.Context) {
	m.TLS.Watch(ctx, certInterval, m.tls.pair, m.log, func(p *cert.Pair) {
		m.setTLS(func(t *terminator) {
			t.Cert, t.Key, t.pair = p.Cert, p.Key, p
			close(t.changed)
			t.changed = make(chan struct{})
		})
	})
}

// setTLS changes it, and tells the workers.
func (m *Master) setTLS(change func(*terminator)) {
	m.mu.Lock()
	change(m.tls)
	m.tls.Version++
	told, tell := m.workersTLS(), slices.Clone(m.processes)
	m.mu.Unlock()
	for _, p := range tell {
		if p != nil && told != nil {
			p.send(control.Message{TLS: told})
		}
	}
}

// workersTLS is what workers are told: nothing, where they speak plain HTTP to a
// front that ends TLS itself. m.mu is held.
func (m *Master) workersTLS() *control.TLS {
	if m.tls == nil || m.Strategy.EndsTLS {
		return nil
	}
	t := m.tls.TLS
	return &t
}

// certificate is for a strategy's front.
func (m *Master) certificate() (cert, key []byte, changed <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tls.Cert, m.tls.Key, m.tls.changed
}

func (m *Master) scheme() string {
	if m.tls != nil {
		return "https"
	}
	return "http"
}

// pinned is the client's side of what we serve: no authority needs to have signed
// it, but it must be ours. Nil without TLS.
func (m *Master) pinned() *tls.Config {
	if m.tls == nil {
		return nil
	}
	return &tls.Config{
		InsecureSkipVerify: true, // VerifyConnection is stricter
		VerifyConnection: func(s tls.ConnectionState) error {
			m.mu.Lock()
			defer m.mu.Unlock()
			return isOurs(s.PeerCertificates, m.tls.pair.Leaf)
		},
	}
}

func isOurs(shown []*x509.Certificate, ours *x509.Certificate) error {
	if len(shown) == 0 || !shown[0].Equal(ours) {
		return errors.New("the public address serves another certificate than --tls-cert")
	}
	return nil
}
