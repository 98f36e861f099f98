package doctor_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/clustertest"
	"github.com/samedoor/samedoor/internal/doctor"
	"github.com/samedoor/samedoor/internal/doctor/doctortest"
)

// TestWorkerDies: what ends with the worker is blamed on nobody else, and
// proves nothing of how long clients are waited for.
func TestWorkerDies(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, "--workers", "1", "--strategy", "server")
	to, err := url.Parse(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	// What is open, as a proxy in front counts it.
	var polls, sockets, through atomic.Int64
	p := httputil.NewSingleHostReverseProxy(to)
	p.ErrorHandler = func(w http.ResponseWriter, r *http.Request, err error) { w.WriteHeader(http.StatusBadGateway) }
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q, open := r.URL.Query(), &polls
		if q.Get("transport") == "websocket" {
			open = &sockets
		}
		if r.Method == http.MethodGet && (open == &sockets || q.Get("sid") != "") {
			open.Add(1)
			defer open.Add(-1)
		}
		r.Host = to.Host
		r.Header.Del("Origin")
		p.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		front.CloseClientConnections()
		front.Close()
	})

	long := []string{"hold", "idle", "reconnect"}
	short := int64(len(doctor.First) + len(doctor.Then) - len(long))
	killed := make(chan bool, 1)
	go func() { // once only the long checks are left, and each has held its own for a while
		for still := 0; t.Context().Err() == nil; {
			if still++; through.Load() != short || polls.Load() != 1 || sockets.Load() != 2 {
				still = 0
			}
			if still > 20 {
				killed <- syscall.Kill(c.Worker(0), syscall.SIGKILL) == nil
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	r, err := doctor.Run(t.Context(), doctor.Options{URL: front.URL, Timeout: 10 * time.Second, Progress: func(name string, f *doctor.Finding) {
		if f != nil && !slices.Contains(long, name) {
			through.Add(1)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case ok := <-killed:
		if !ok {
			t.Fatal("no worker to kill")
		}
	default:
		t.Fatalf("all were over before the worker was killed\n%s", text(t, r))
	}
	f := r.Find("hold")
	if f.Status != doctor.Failure || f.Title != "the worker that held these sessions ended meanwhile" || len(f.Evidence) != 3 || f.Fix == nil || !strings.Contains(f.Fix.Text, "worker's log") {
		t.Errorf("hold: %s: %s", f.Status, f.Title)
	}
	if f := r.Find("idle"); f.Status != doctor.Skipped || f.Title != "cut short: see hold" {
		t.Errorf("idle: %s: %s", f.Status, f.Title)
	}
	report := text(t, r)
	for _, wrong := range []string{"gives up waiting", "A proxy cuts", "is given up after", "No proxy in sight"} {
		if strings.Contains(report, wrong) {
			t.Errorf("%q", wrong)
		}
	}
	if r.Exit != 1 || t.Failed() {
		t.Errorf("exit %d\n%s", r.Exit, report)
	}
	t.Log(report)
}

// TestShortLife: a WebSocket that has survived a longer quiet was not cut for
// being quiet.
func TestShortLife(t *testing.T) {
	t.Parallel()
	to, err := url.Parse("http://" + doctortest.Node(t, doctortest.NodeConfig{Kind: "single", Options: shortPing}))
	if err != nil {
		t.Fatal(err)
	}
	p := httputil.NewSingleHostReverseProxy(to)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("transport") == "websocket" {
			ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second) // a ping comes after 2
			defer cancel()
			r = r.WithContext(ctx)
		}
		p.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		front.CloseClientConnections()
		front.Close()
	})
	r, err := doctor.Run(t.Context(), doctor.Options{URL: front.URL, Timeout: 10 * time.Second, Hold: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if f := r.Find("idle"); f.Status != doctor.Failure || !strings.HasPrefix(f.Title, "a WebSocket is cut after") || !strings.Contains(f.Cause, "The worker") {
		t.Error(text(t, r))
	}
}
