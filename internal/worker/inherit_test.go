package worker

import (
	"runtime"
	"testing"
)

func TestPart(t *testing.T) {
	for _, tt := range []struct{ cores, workers, want int }{
		{8, 1, 8}, {8, 2, 8}, {8, 4, 4}, {8, 5, 4}, {8, 16, 1}, {8, 256, 1}, {1, 1, 1}, {1, 4, 1}, {2, 3, 2}, {2, 4, 1}, {8, 0, 8},
	} {
		if got := part(tt.cores, tt.workers); got != tt.want {
			t.Errorf("%d cores, %d workers: %d, want %d", tt.cores, tt.workers, got, tt.want)
		}
	}
}

// TestShareCores: when others come or go, so does a worker's part.
func TestShareCores(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	t.Setenv("GOMAXPROCS", "")
	for _, workers := range []int{256, 1, 256} {
		shareCores(workers)
		if got, want := runtime.GOMAXPROCS(0), part(cores, workers); got != want {
			t.Errorf("one of %d: %d, want %d", workers, got, want)
		}
	}
	t.Setenv("GOMAXPROCS", "1")
	shareCores(1)
	if got := runtime.GOMAXPROCS(0); got != part(cores, 256) {
		t.Errorf("against the operator's word: %d", got)
	}
}
