package worker

import (
	"io"
	stdlog "log"
	"os"
	"strconv"
)

var pid = os.Getpid()

func itoa(n int) string { return strconv.Itoa(n) }

// discard is for libraries that would log what clients do wrong.
var discard = stdlog.New(io.Discard, "", 0)
