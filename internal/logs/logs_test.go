package logs

import (
	"bytes"
	"regexp"
	"strings"
	"sync"
	"testing"
)

func TestText(t *testing.T) {
	var out bytes.Buffer
	log := New(&out, "text").With("slot", 2).With("pid", 411)
	log.Debug("not shown")
	log.Info("worker ready", "took", "3 ms")
	log.WithGroup("nginx").Warn("two\nlines", "k", "a\nb")
	want := regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d (Z|[+-]\d\d:\d\d) INFO worker ready slot=2 pid=411 took="3 ms"
\d{4}-\d\d-\d\d \d\d:\d\d (Z|[+-]\d\d:\d\d) WARN two \| lines slot=2 pid=411 nginx.k="a\\nb"
$`)
	if !want.Match(out.Bytes()) {
		t.Errorf("got:\n%s\nwant match for:\n%s", &out, want)
	}
}

func TestLinesStayWhole(t *testing.T) {
	var out bytes.Buffer
	log := New(&out, "text")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			l := log.With("slot", i)
			for range 50 {
				l.Info("up")
			}
		})
	}
	wg.Wait()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 400 {
		t.Fatalf("%d lines, want 400", len(lines))
	}
	for _, l := range lines {
		if !regexp.MustCompile(`INFO up slot=\d$`).MatchString(l) {
			t.Fatalf("broken line %q", l)
		}
	}
}

func TestJSON(t *testing.T) {
	var out bytes.Buffer
	New(&out, "json").Info("up", "slot", 1)
	if !strings.Contains(out.String(), `"msg":"up","slot":1`) {
		t.Errorf("got %s", &out)
	}
}
