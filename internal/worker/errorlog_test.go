package worker

import (
	"log/slog"
	"strings"
	"testing"
)

func TestErrorLog(t *testing.T) {
	var b strings.Builder
	l := newErrorLog(slog.New(slog.NewTextHandler(&b, nil)))
	l.Print("http: TLS handshake error from 127.0.0.1:1: EOF")
	for range 3 {
		l.Print("http: Accept error: accept unix: recvmsg: too many open files; retrying in 5ms")
	}
	if got := b.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "ulimit -n") || !strings.Contains(got, `recvmsg: too many open files"`) {
		t.Error(got)
	}
}
