package worker

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/samedoor/samedoor/internal/logs/logstest"
)

func TestErrorLog(t *testing.T) {
	var b strings.Builder
	var panics logstest.Buffer
	l := newErrorLog(slog.New(slog.NewTextHandler(&b, nil)))
	l.Print("http: TLS handshake error from 127.0.0.1:1: EOF")
	for range 3 {
		l.Print("http: Accept error: accept unix: recvmsg: too many open files; retrying in 5ms")
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a mistake") }))
	s.Config.ErrorLog = newErrorLog(slog.New(slog.NewTextHandler(&panics, nil)))
	s.Start()
	defer s.Close()
	if _, err := http.Get(s.URL); err == nil {
		t.Error("answered")
	}
	if got := panics.Wait(t, `(.*a mistake)`); !strings.Contains(got, "level=ERROR") {
		t.Error(got)
	}
	if got := b.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "ulimit -n") || !strings.Contains(got, `recvmsg: too many open files"`) {
		t.Error(got)
	}
}
