package worker

import (
	"os"
	"runtime"
)

// cores is what this process may use of the machine.
var cores = runtime.GOMAXPROCS(0)

// shareCores lets one of so many workers run Go on its part of the cores twice
// over, so that a busy worker can use what others leave. More threads would
// mostly wake one another: on two cores, four workers with two threads each take
// up to a fifth more CPU for a request than with one. GOMAXPROCS in the
// operator's environment overrides it.
func shareCores(workers int) {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(part(cores, workers)) // costs nothing if it is that already
	}
}

func part(cores, workers int) int {
	workers = max(workers, 1)
	return min(cores, (2*cores+workers-1)/workers)
}
