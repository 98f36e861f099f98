// Package logstest collects what tests have logged.
package logstest

import (
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Buffer takes the output of several goroutines or processes, and may be
// read while they write. The zero value is empty.
type Buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Count is how often part has been written so far.
func (b *Buffer) Count(part string) int { return strings.Count(b.String(), part) }

// Wait returns what the pattern's first group matches once it is there; the
// test fails if that takes more than 20 seconds.
func (b *Buffer) Wait(t testing.TB, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if m := re.FindStringSubmatch(b.String()); m != nil {
			return m[1]
		}
		if time.Now().After(end) {
			t.Fatalf("%s is not in: %s", pattern, b)
		}
	}
}
