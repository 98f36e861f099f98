// Package cert reads the certificate and the key that --tls-cert and --tls-key
// name, and reads them again when the files change.
package cert

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"
)

// Files are the paths of a certificate (with what it is signed by, if need be)
// and its private key, in PEM.
type Files struct{ Cert, Key string }

// A Pair is what they hold, checked: the key belongs to the certificate.
type Pair struct {
	Cert, Key []byte // PEM
	Leaf      *x509.Certificate
}

// maxSize bounds a file, in bytes: a mistaken path may lead to anything.
const maxSize = 1 << 20

// Load reads the files. The error names the flags and what is wrong.
func (f Files) Load() (*Pair, error) {
	p, err := f.read()
	if err != nil {
		return nil, err
	}
	return p, p.check(f)
}

func (f Files) read() (p *Pair, err error) {
	p = new(Pair)
	if p.Cert, err = read(f.Cert); err != nil {
		return nil, fmt.Errorf("--tls-cert: %w", err)
	}
	if p.Key, err = read(f.Key); err != nil {
		return nil, fmt.Errorf("--tls-key: %w", err)
	}
	return p, nil
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err == nil && len(b) > maxSize {
		err = fmt.Errorf("%s is too long for a PEM file", path)
	}
	return b, err
}

func (p *Pair) check(f Files) error {
	c, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil {
		return fmt.Errorf("--tls-cert %s and --tls-key %s are no pair: %s", f.Cert, f.Key, strings.TrimPrefix(err.Error(), "tls: "))
	}
	p.Leaf = c.Leaf
	return nil
}

func (p *Pair) same(o *Pair) bool { return bytes.Equal(p.Cert, o.Cert) && bytes.Equal(p.Key, o.Key) }

// Warning says why browsers will not take the certificate, or nothing.
func (p *Pair) Warning(now time.Time) string {
	switch {
	case now.After(p.Leaf.NotAfter):
		return "the certificate expired on " + p.Leaf.NotAfter.UTC().Format(time.DateOnly) + ": clients will refuse it until its files are replaced"
	case now.Before(p.Leaf.NotBefore):
		return "the certificate is not valid before " + p.Leaf.NotBefore.UTC().Format(time.DateTime) + " UTC: clients will refuse it until then"
	}
	return ""
}

// Watch reads the files every interval, until ctx is done, and calls changed for
// each new pair. A pair that is broken is logged, and the one before it stays;
// but only when it is still so an interval later, since files are written one
// after the other.
func (f Files) Watch(ctx context.Context, interval time.Duration, have *Pair, log *slog.Logger, changed func(*Pair)) {
	var broken, said string // what was wrong the last time, and what was logged
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		p, err := f.read()
		if err == nil && p.same(have) {
			broken, said = "", ""
			continue
		}
		if err == nil {
			err = p.check(f)
		}
		if err == nil {
			have, broken, said = p, "", ""
			log.Info("certificate reloaded", "not_after", p.Leaf.NotAfter.UTC().Format(time.DateTime))
			p.Warn(log)
			changed(p)
			continue
		}
		if now := err.Error(); now == broken && now != said {
			said = now
			log.Error("the new certificate cannot be used, the old one stays", "error", err)
		} else {
			broken = now
		}
	}
}

// Warn logs the Warning.
func (p *Pair) Warn(log *slog.Logger) {
	if w := p.Warning(time.Now()); w != "" {
		log.Warn(w)
	}
}

// Check tells that both flags or none are set.
func (f Files) Check() error {
	if (f.Cert == "") != (f.Key == "") {
		return errors.New("--tls-cert and --tls-key go together: name both or neither")
	}
	return nil
}
