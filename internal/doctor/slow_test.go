package doctor_test

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/doctor"
	"github.com/samedoor/samedoor/internal/doctor/doctortest"

	"net/http/httptest"
)

// front is a proxy in front of a deployment; false: it has answered itself.
func front(t *testing.T, to string, each func(http.ResponseWriter, *http.Request) bool) string {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	p := httputil.NewSingleHostReverseProxy(u)
	p.ErrorHandler = func(w http.ResponseWriter, r *http.Request, err error) { w.WriteHeader(http.StatusBadGateway) }
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if each(w, r) {
			p.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL
}

func examined(t *testing.T, o doctor.Options) *doctor.Report {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	o.Quick = true
	r, err := doctor.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestSlow: sessions that end for want of time are no lack of stickiness.
func TestSlow(t *testing.T) {
	t.Parallel()
	addr := "http://" + doctortest.Node(t, doctortest.NodeConfig{Kind: "single", Options: map[string]any{"pingInterval": 1000, "pingTimeout": 1000}})
	r := examined(t, doctor.Options{URL: front(t, addr, func(http.ResponseWriter, *http.Request) bool {
		time.Sleep(250 * time.Millisecond)
		return true
	})})
	f := r.Find("sticky")
	if f.Status == doctor.Failure || !(f.Status == doctor.OK || strings.Contains(f.Title, "too slow to judge")) {
		t.Errorf("%s\n%s", f.Title, text(t, r))
	}
	if !r.Healthy {
		t.Error(text(t, r))
	}
}

// TestGivenUp: so are those that the server gives up since they join nothing.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	addr := "http://" + doctortest.Node(t, doctortest.NodeConfig{Kind: "single", Options: map[string]any{"connectTimeout": 1500}})
	r := examined(t, doctor.Options{URL: front(t, addr, func(http.ResponseWriter, *http.Request) bool {
		time.Sleep(250 * time.Millisecond)
		return true
	})})
	if f := r.Find("sticky"); f.Status == doctor.Failure {
		t.Errorf("%s\n%s", f.Title, text(t, r))
	}
	if f := r.Find("namespace"); f.Status != doctor.OK {
		t.Errorf("%s\n%s", f.Title, text(t, r))
	}
}
