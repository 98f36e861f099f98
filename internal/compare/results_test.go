package compare

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/samedoor/samedoor/web"
)

var update = flag.Bool("update", false, "write the golden files")

// sample is a run in which everything happens that can be told of.
func sample() *Results {
	r := &Results{
		Schema: Schema, Version: "1.2.3", At: time.Date(2026, 1, 31, 9, 5, 0, 0, time.UTC),
		Workers: 4, Clients: 6, AtOnce: 5, Note: "All clients came from one address: <so> & \"so\".",
	}
	row := func(name string, control bool, os ...outcome) {
		s := Row{Name: name, Doc: "Doc of " + name + ".", Control: control, State: web.CompareReady}
		s.count(os, r.Workers)
		r.Strategies = append(r.Strategies, s)
	}
	came := func(slot int, ms float64, forwarded int) outcome {
		return outcome{came: true, slot: slot, requests: 4, forwarded: forwarded, took: time.Duration(ms * float64(time.Millisecond))}
	}
	post := outcome{why: "post answered 400: Session ID unknown", slot: 1, requests: 2, refused: 1}
	poll := outcome{why: "poll answered 400: Session ID unknown", slot: 2, requests: 3, refused: 1}
	row("none", true, came(0, 9.04, 0), post, post, poll, post, post)
	row("all", false, came(0, 4, 0), came(1, 5, 0), came(2, 6, 0), came(3, 7.5, 0), came(1, 8, 0), came(1, 9, 0))
	row("redis", false, came(0, 4, 3), came(3, 5, 2), came(2, 6, 0), came(3, 7, 1), came(3, 8, 0), outcome{why: `open: "<&'>"`, slot: -1})
	r.Strategies = append(r.Strategies,
		Row{Name: "a-name-that-is-far-too-long-<b>", Doc: "D", State: web.CompareUnavailable, Sessions: []int{}, Failures: []Failure{}, wanted: true,
			Reason: "nginx is not installed: apt-get install nginx (Debian, Ubuntu), brew install nginx (macOS), or choose another --strategy"},
		Row{Name: "gone", Doc: "D", State: web.CompareGone, Reason: "signal: killed", Sessions: []int{}, Failures: []Failure{}})
	return r
}

func TestGolden(t *testing.T) {
	r := sample()
	table := &bytes.Buffer{}
	if err := r.Table(table); err != nil {
		t.Fatal(err)
	}
	b, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string][]byte{"results.txt": table.Bytes(), "results.json": b, "results.svg": r.SVG()} {
		file := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(file, got, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s (go test ./internal/compare -run Golden -update): %v\n%s", name, err, got)
		}
	}
}

// The picture is XML, brings all it needs, and runs nothing.
func TestSVG(t *testing.T) {
	hostile := sample()
	hostile.Version, hostile.Note = `"><script>alert(1)</script>`, "]]>&amp;\x01\xff"
	for i := range hostile.Strategies {
		hostile.Strategies[i].Name = `<script>`
		hostile.Strategies[i].Failures = append(hostile.Strategies[i].Failures, Failure{"<image href='http://evil.example'/>", 1})
		hostile.Strategies[i].Reason = "</text><style>*{display:none}"
	}
	many := sample()
	many.Strategies[1].Sessions = make([]int, 200)
	for name, r := range map[string]*Results{"sample": sample(), "hostile": hostile, "many workers": many, "empty": {}} {
		svg := r.SVG()
		allowed := []string{"svg", "title", "desc", "style", "rect", "text", "path"}
		styles := 0
		for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, svg)
			}
			e, ok := token.(xml.StartElement)
			if !ok {
				continue
			}
			if !slices.Contains(allowed, e.Name.Local) {
				t.Errorf("%s: <%s>", name, e.Name.Local)
			}
			if e.Name.Local == "style" {
				styles++
			}
			for _, a := range e.Attr {
				if strings.HasPrefix(a.Name.Local, "on") || strings.Contains(a.Name.Local, "href") {
					t.Errorf("%s: %s=%q", name, a.Name.Local, a.Value)
				}
			}
		}
		if styles != 1 {
			t.Errorf("%s: %d styles", name, styles)
		}
	}
}

func TestResults(t *testing.T) {
	r := sample()
	none := r.Strategies[0]
	if none.CameThrough != 1 || none.Failed != 5 || none.Status400 != 5 || none.Requests != 4+4*2+3 || *none.MedianMS != 9 ||
		!slices.Equal(none.Sessions, []int{1, 4, 1, 0}) || none.Failures[0] != (Failure{"post answered 400: Session ID unknown", 4}) {
		t.Errorf("%+v", none)
	}
	if all := r.Strategies[1]; *all.MedianMS != 6.8 { // of six, the mean of 6 and 7.5
		t.Errorf("median %v", *all.MedianMS)
	}
	if redis := r.Strategies[2]; redis.Forwarded != 6 || redis.Failed != 1 || !slices.Equal(redis.Sessions, []int{1, 0, 1, 3}) {
		t.Errorf("%+v", redis)
	}
	if got := r.Wrong(); !slices.Equal(got, []string{"redis", "a-name-that-is-far-too-long-<b>", "gone"}) {
		t.Errorf("wrong: %q", got)
	}
	r.Strategies[3].wanted = false
	if got := r.Wrong(); !slices.Equal(got, []string{"redis", "gone"}) {
		t.Errorf("wrong: %q", got)
	}
	b, err := json.Marshal(Row{State: web.CompareReady})
	if err != nil || !strings.Contains(string(b), `"median_ms":null`) {
		t.Errorf("%s %v", b, err)
	}
}

func TestPlain(t *testing.T) {
	if got := plain("a\x1b[31m  b\n\x00c é"); got != "a [31m b c é" {
		t.Errorf("%q", got)
	}
}

func TestCut(t *testing.T) {
	for _, tt := range []struct {
		s    string
		n    int
		want string
	}{{"short", 5, "short"}, {"one two three", 9, "one two…"}, {"überlängenwort", 5, "über…"}, {"one; two", 6, "one…"}} {
		if got := cut(tt.s, tt.n); got != tt.want {
			t.Errorf("cut(%q, %d) = %q, want %q", tt.s, tt.n, got, tt.want)
		}
	}
}
