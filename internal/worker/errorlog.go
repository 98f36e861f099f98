package worker

import (
	"bytes"
	stdlog "log"
	"log/slog"
	"sync/atomic"
	"time"
)

// errorLog is where an http.Server writes its log: it says what clients do wrong,
// which is dropped, and that it can't accept or has failed, which is the operator's.
type errorLog struct {
	log   *slog.Logger
	after atomic.Int64 // in Unix seconds: told of not more than once a minute
}

func newErrorLog(log *slog.Logger) *stdlog.Logger {
	return stdlog.New(&errorLog{log: log}, "", 0)
}

func (a *errorLog) Write(line []byte) (int, error) {
	if rest, ok := bytes.CutPrefix(line, []byte("http: panic serving ")); ok {
		what, _, _ := bytes.Cut(rest, []byte("\n"))
		a.log.Error("a request failed", "panic", string(what))
	}
	rest, ok := bytes.CutPrefix(line, []byte("http: Accept error: "))
	now, after := time.Now().Unix(), a.after.Load()
	if ok && now >= after && a.after.CompareAndSwap(after, now+60) {
		why, _, _ := bytes.Cut(rest, []byte("; retrying"))
		a.log.Warn("clients wait until others leave: raise the limit of descriptors (ulimit -n), or have more workers", "error", string(why))
	}
	return len(line), nil
}
