package doctor

import (
	"encoding/json"
	"encoding/xml"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write the golden files")

// sample has one of everything, and text that fits badly.
func sample() *Report {
	return &Report{
		Schema: schema, URL: "https://chat.example/socket.io/", Verdict: "not sticky: 9 of 12 follow-ups met a worker without the session (and 1 more failure)",
		Exit: 1, Engine: 4, Proxy: "nginx", Version: "1.22.1", Affinity: affinityNone, Workers: &Estimate{4, 3, 6, "share"},
		At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Seconds: 2.25, Requests: 77, Quick: true,
		Findings: []*Finding{
			{Check: "reachable", Status: OK, Title: "192.0.2.7:443 answered in 12 ms", Millis: 12},
			{Check: "sticky", Status: Failure, Title: "not sticky: 9 of 12 follow-ups met a worker without the session", Millis: 300,
				Evidence: []string{`POST /socket.io/?polling&sid=lv_V… → 400 {"code":1,"message":"Session ID unknown"}, 12 ms`, "on fresh connections: 3 of 12 reached the owner"},
				Cause:    "Requests are spread over workers, and each knows its own sessions only.",
				Fix:      &Fix{Proxy: "nginx", Config: "upstream socketio {\n    hash $remote_addr consistent;\n}\n"}},
			{Check: "handshake", Status: Warning, Title: "pings come every 90 s | too <late>", Evidence: []string{"a `tick`"}, Fix: &Fix{Text: "Set pingInterval below 60 s."}},
			{Check: "upgrade", Status: Failure, Title: "the Upgrade header does not reach the server",
				Fix: &Fix{Proxy: "nginx", Config: "upstream socketio {\n    hash $remote_addr consistent;\n}\n"}},
			{Check: "idle", Status: Skipped, Title: "takes 65 s: without --quick"},
			{Check: "clock", Status: OK, Title: "an answer takes 12 ms, the slowest 40 ms", Notes: []string{"From one source address only: a hash of it looks the same as shared sessions. --from ADDR,ADDR tells them apart."}},
		},
	}
}

func TestReportGolden(t *testing.T) {
	r := sample()
	for name, write := range map[string]func(*strings.Builder) error{
		"report.txt":       func(b *strings.Builder) error { return r.Text(b, Style{}) },
		"report-120.txt":   func(b *strings.Builder) error { return r.Text(b, Style{Width: 120}) },
		"report-color.txt": func(b *strings.Builder) error { return r.Text(b, Style{Color: true}) },
		"report.json":      func(b *strings.Builder) error { return r.JSON(b, true) },
		"report.xml":       func(b *strings.Builder) error { return r.JUnit(b) },
		"report.md":        func(b *strings.Builder) error { return r.Markdown(b) },
	} {
		var b strings.Builder
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", "golden", name)
		if *update {
			if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil || b.String() != string(want) {
			t.Errorf("%s (go test ./internal/doctor -run Golden -update): %v\n%s", name, err, b.String())
		}
	}
}

func TestReportFits(t *testing.T) {
	for _, width := range []int{0, 60, 80, 120, 400} {
		var b strings.Builder
		if err := sample().Text(&b, Style{Width: width}); err != nil {
			t.Fatal(err)
		}
		most := width
		if most == 0 {
			most = 80
		}
		for l := range strings.Lines(b.String()) {
			if n := utf8.RuneCountInString(strings.TrimRight(l, "\n")); n > most {
				t.Errorf("%d columns at a width of %d: %s", n, width, l)
			}
			if strings.HasSuffix(l, " \n") {
				t.Errorf("spaces at the end: %q", l)
			}
		}
		if strings.Contains(b.String(), "\x1b") {
			t.Error("colours, unasked for")
		}
	}
}

func TestFormatsParse(t *testing.T) {
	var b strings.Builder
	if err := sample().JSON(&b, false); err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal([]byte(b.String()), &back); err != nil || len(back.Findings) != 6 || back.Workers.About != 4 {
		t.Errorf("%+v, %v", back, err)
	}
	b.Reset()
	if err := sample().JUnit(&b); err != nil {
		t.Fatal(err)
	}
	var suite struct {
		Failures int        `xml:"failures,attr"`
		Cases    []struct{} `xml:"testcase"`
	}
	if err := xml.Unmarshal([]byte(b.String()), &suite); err != nil || suite.Failures != 2 || len(suite.Cases) != 6 {
		t.Errorf("%+v, %v", suite, err)
	}
}

func TestChanges(t *testing.T) {
	before, now := sample(), sample()
	if got := now.Changes(before); len(got) != 0 {
		t.Errorf("nothing has changed: %q", got)
	}
	now.find("sticky").ok("12 of 12")
	now.Healthy, now.Verdict = true, "healthy"
	got := strings.Join(now.Changes(before), "\n")
	if got != "sticky: failure → ok: 12 of 12\nverdict: healthy" {
		t.Errorf("%s", got)
	}
}

func FuzzWrap(f *testing.F) {
	f.Add("some words and a-very-long-one-that-no-line-holds", 12)
	f.Fuzz(func(t *testing.T, s string, width int) {
		width %= 200
		for _, l := range wrap(s, width) {
			if n := utf8.RuneCountInString(l); n > max(width, 10) || n == 0 {
				t.Errorf("%d columns of %d: %q", n, width, l)
			}
		}
	})
}
