package cert

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/cert/certtest"
	"github.com/samedoor/samedoor/internal/logs/logstest"
)

func TestLoad(t *testing.T) {
	c, k := certtest.Write(t, "localhost")
	_, other := certtest.Write(t, "localhost")
	huge := filepath.Join(t.TempDir(), "huge")
	if err := os.WriteFile(huge, make([]byte, maxSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err := (Files{c, k}).Load(); err != nil || p.Leaf.Subject.CommonName != "localhost" || p.Warning(time.Now()) != "" {
		t.Errorf("%+v %v", p, err)
	}
	for _, tt := range []struct {
		files Files
		want  string
	}{
		{Files{"/no/such.pem", k}, "--tls-cert: open /no/such.pem"},
		{Files{c, "/no/such.pem"}, "--tls-key: open /no/such.pem"},
		{Files{c, other}, "are no pair"},
		{Files{k, c}, "are no pair"},
		{Files{huge, k}, "too long"},
		{Files{t.TempDir(), k}, "is a directory"},
	} {
		if _, err := tt.files.Load(); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: %v, want %s", tt.files, err, tt.want)
		}
	}
	for _, f := range []Files{{Cert: "a"}, {Key: "a"}} {
		if f.Check() == nil {
			t.Errorf("%v passes", f)
		}
	}
}

func TestWarning(t *testing.T) {
	c, k := certtest.Write(t, "localhost")
	p, err := Files{c, k}.Load()
	if err != nil {
		t.Fatal(err)
	}
	if w := p.Warning(p.Leaf.NotAfter.Add(time.Second)); !strings.Contains(w, "expired") {
		t.Errorf("afterwards: %q", w)
	}
	if w := p.Warning(p.Leaf.NotBefore.Add(-time.Second)); !strings.Contains(w, "not valid before") {
		t.Errorf("before: %q", w)
	}
}

func TestWatch(t *testing.T) {
	c, k := certtest.Write(t, "first")
	f := Files{c, k}
	first, err := f.Load()
	if err != nil {
		t.Fatal(err)
	}
	var log logstest.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	pairs, done := make(chan *Pair, 9), make(chan struct{})
	go func() {
		defer close(done)
		f.Watch(ctx, time.Millisecond, first, slog.New(slog.NewTextHandler(&log, nil)), func(p *Pair) { pairs <- p })
	}()
	next := func(name string) {
		t.Helper()
		select {
		case p := <-pairs:
			if p.Leaf.Subject.CommonName != name {
				t.Errorf("%s, want %s", p.Leaf.Subject.CommonName, name)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s is not noticed: %s", name, &log)
		}
	}
	certtest.Replace(t, c, k, "second", time.Now().Add(time.Hour))
	next("second")

	// By renaming, as certbot and Kubernetes do; what has expired says so.
	c2, k2 := certtest.Write(t, "third")
	certtest.Replace(t, c2, k2, "third", time.Now().Add(-time.Hour))
	for from, to := range map[string]string{c2: c, k2: k} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	next("third")
	if !strings.Contains(log.String(), "expired") {
		t.Errorf("no word of it: %s", &log)
	}

	// Broken ones, each told of once.
	for _, spoil := range []func(){func() { certtest.Spoil(t, k) }, func() { os.Remove(k) }} {
		before := log.Count("the old one stays")
		spoil()
		for end := time.Now().Add(20 * time.Second); log.Count("the old one stays") == before; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("not told: %s", &log)
			}
		}
		time.Sleep(20 * time.Millisecond)                      // twenty more looks
		if n := log.Count("the old one stays"); n > before+2 { // between truncation and the look it may be broken otherwise
			t.Errorf("told %d times", n-before)
		}
	}
	certtest.Replace(t, c, k, "fourth", time.Now().Add(time.Hour))
	next("fourth")
	cancel()
	<-done
	if len(pairs) > 0 {
		t.Errorf("also %v", (<-pairs).Leaf.Subject)
	}
}
