package clustertest

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
)

// Stat returns the fields of /proc/PID/stat from the state on, nil if the
// process has ended. A zombie has: it waits for its parent to hear of it, and
// where that is a container's init, perhaps for ever.
func Stat(pid int) []string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // the name before may hold anything
	if f[0] == "Z" || f[0] == "X" {
		return nil
	}
	return f
}

// Gone tells whether a process has ended.
func Gone(pid int) bool { return Stat(pid) == nil }

// Descriptors counts those that the test's own process has open.
func Descriptors(t testing.TB) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}
