package worker

import (
	"context"
	"io"
	stdlog "log"
	"os"
	"strconv"
	"time"
)

var pid = os.Getpid()

// pause waits. It says false when ctx is done.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

// discard is for libraries that would log what clients do wrong.
var discard = stdlog.New(io.Discard, "", 0)
