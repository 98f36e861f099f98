package master

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/samedoor/samedoor/internal/control"
)

// TestGivenUpBeforeHealthy: a worker that says it is ready, and dies before the
// public address has ever answered, ends the master like one that never was.
func TestGivenUpBeforeHealthy(t *testing.T) {
	m := &Master{
		Config: Config{Workers: 1}, log: slog.New(slog.DiscardHandler), up: make(chan struct{}),
		changed: make(chan struct{}), moved: make(chan struct{}), served: make(chan struct{}),
	}
	m.add(1, control.Ready)
	asked := make(chan struct{}, 100)
	site := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		select {
		case asked <- struct{}{}:
		default:
		}
		rw.WriteHeader(http.StatusServiceUnavailable) // as a passer that has nobody to pass to
	}))
	defer site.Close()
	m.public = netip.MustParseAddrPort(strings.TrimPrefix(site.URL, "http://"))
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-asked
		m.set(0, func(w *control.Worker) { w.State = control.GivenUp })
	}()
	m.watch(ctx, cancel, io.Discard) // hangs if it waits for /healthz alone
	if why := context.Cause(ctx); why == nil || !strings.Contains(why.Error(), "worker 0 did not start") {
		t.Errorf("the master ended: %v", why)
	}
}
