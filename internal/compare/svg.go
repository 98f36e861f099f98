package compare

import (
	"encoding/xml"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Measures of the picture, in its own pixels.
const (
	width   = 860
	top     = 118 // of the first row
	height  = 62  // of a row
	margin  = 28
	barAt   = 136
	barWide = 210
	mostBar = 26 // height of the highest bar of sessions
)

// Columns of numbers, by their right edge, and where sessions begin.
const (
	col400, colForwarded, colMedian, colSessions = 470, 560, 660, 690
)

// The picture's looks: dark where who looks at it prefers so, like the page.
const svgStyle = `
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;font-size:13px;fill:#1c1f24}
.title{font-size:19px;font-weight:650}.dim{fill:#595d64}.tiny{font-size:11px}.end{text-anchor:end}.mid{text-anchor:middle}
.name{font-family:ui-monospace,"SF Mono","Cascadia Mono","DejaVu Sans Mono",monospace;font-size:14px;font-weight:700}
.strong{font-weight:650}.bad{fill:#b3261e}.paper{fill:#fffefc;stroke:#dedbd4}.line{stroke:#dedbd4}.track{fill:#efede8;stroke:#8a8c8f}
.came{fill:#0b7358}.h0{fill:#2a5fc9}.h1{fill:#99580a}.h2{fill:#0b7358}.h3{fill:#8139b0}.h4{fill:#0b6f8f}.h5{fill:#5b6b00}.h6{fill:#ad2b76}.h7{fill:#555f6e}
@media(prefers-color-scheme:dark){
text{fill:#eceae5}.dim{fill:#a5a8ae}.bad{fill:#ff8a80}.paper{fill:#1b1e23;stroke:#31353c}.line{stroke:#31353c}.track{fill:#101215;stroke:#6d727a}
.came{fill:#57c9a5}.h0{fill:#86acff}.h1{fill:#eda85a}.h2{fill:#57c9a5}.h3{fill:#cd97f2}.h4{fill:#62c3e0}.h5{fill:#bcc95a}.h6{fill:#f58fc4}.h7{fill:#a9b5c6}
}`

// A drawing is an SVG under way. All text in it goes through escape.
type drawing struct{ strings.Builder }

func (d *drawing) text(x, y int, class, s string) {
	fmt.Fprintf(d, `<text x="%d" y="%d" class="%s">%s</text>`+"\n", x, y, class, escape(s))
}

func (d *drawing) rect(x, y, w, h, round int, class string) {
	fmt.Fprintf(d, `<rect x="%d" y="%d" width="%d" height="%d" rx="%d" class="%s"/>`+"\n", x, y, w, h, round, class)
}

func (d *drawing) line(y int) {
	fmt.Fprintf(d, `<path class="line" d="M%d %d.5H%d"/>`+"\n", margin, y, width-margin)
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // to memory
	return b.String()
}

// cut shortens s to what a line of the picture has room for, at a word's end.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	s = string([]rune(s)[:n-1])
	if i := strings.LastIndexByte(s, ' '); i > n/2 {
		s = s[:i]
	}
	return strings.TrimRight(s, " ,;:") + "…"
}

// SVG draws the results: one file without scripts or references, to paste into
// a pull request.
func (r *Results) SVG() []byte {
	d := &drawing{}
	tall := top + height*len(r.Strategies) + 20
	if r.Note != "" {
		tall += 24
	}
	fmt.Fprintf(d, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-labelledby="t s">`+"\n", width, tall, width, tall)
	fmt.Fprintf(d, "<title id=\"t\">%s</title>\n<desc id=\"s\">%s</desc>\n<style>%s</style>\n", escape(r.title()), escape(r.summary()), svgStyle)
	fmt.Fprintf(d, `<rect x=".5" y=".5" width="%d" height="%d" rx="12" class="paper"/>`+"\n", width-1, tall-1)
	d.text(margin, 42, "title", r.title())
	d.text(margin, 64, "dim", fmt.Sprintf("%d workers, %d clients at a time · samedoor %s · %s", r.Workers, r.AtOnce, r.Version, r.At.Format("2006-01-02 15:04 MST")))
	for _, head := range []struct {
		x           int
		class, text string
	}{
		{barAt, "", "came through"}, {col400, " end", "400s"}, {colForwarded, " end", "forwarded"},
		{colMedian, " end", "median"}, {colSessions, "", "sessions by worker"},
	} {
		d.text(head.x, top-14, "dim tiny"+head.class, head.text)
	}
	for i := range r.Strategies {
		r.Strategies[i].draw(d, top+i*height, r.Clients)
	}
	if r.Note != "" {
		d.line(tall - 38)
		d.text(margin, tall-16, "dim tiny", cut(r.Note, 150))
	}
	d.WriteString("</svg>\n")
	return []byte(d.String())
}

func (r *Results) title() string {
	return fmt.Sprintf("%d Socket.IO clients through each strategy", r.Clients)
}

// summary is the picture in words.
func (r *Results) summary() string {
	var all []string
	for _, s := range r.Strategies {
		if !s.ran() {
			all = append(all, s.Name+": "+s.why())
			continue
		}
		all = append(all, fmt.Sprintf("%s: %d of %d came through, %d requests answered 400, %d forwarded", s.Name, s.CameThrough, r.Clients, s.Status400, s.Forwarded))
	}
	return strings.Join(all, "; ")
}

func (s *Row) draw(d *drawing, y, clients int) {
	d.line(y)
	d.text(margin, y+26, "name", cut(s.Name, 12))
	said := s.remarks()
	if !s.ran() {
		d.text(barAt, y+26, "strong", "did not run")
		d.text(barAt, y+46, "dim tiny", cut(said[0], 115))
		return
	}
	d.rect(barAt, y+13, barWide, 16, 4, "track")
	if came := barWide * s.CameThrough / max(clients, 1); came > 0 {
		d.rect(barAt, y+13, came, 16, 4, "came")
	}
	class := "strong"
	if s.Failed > 0 {
		class += " bad"
	}
	d.text(barAt+barWide+10, y+26, class, fmt.Sprintf("%d of %d", s.CameThrough, clients))
	for _, n := range []struct {
		x    int
		text string
		bad  bool
	}{{col400, fmt.Sprint(s.Status400), s.Status400 > 0}, {colForwarded, fmt.Sprint(s.Forwarded), false}, {colMedian, s.median(), false}} {
		class := "end"
		if n.bad {
			class += " bad strong"
		}
		d.text(n.x, y+26, class, n.text)
	}
	s.bars(d, y)
	if len(said) > 0 {
		d.text(barAt, y+47, "dim tiny", cut(strings.Join(said, "; "), 90))
	}
}

// bars draws how many sessions each worker was given.
func (s *Row) bars(d *drawing, y int) {
	room := width - margin - colSessions
	if len(s.Sessions) == 0 || len(s.Sessions) > room/8 {
		used := 0
		for _, n := range s.Sessions {
			used += min(n, 1)
		}
		d.text(colSessions, y+26, "", fmt.Sprintf("on %d of %d", used, len(s.Sessions)))
		return
	}
	most := 1
	for _, n := range s.Sessions {
		most = max(most, n)
	}
	step := min(30, room/len(s.Sessions))
	for slot, n := range s.Sessions {
		x, tall := colSessions+slot*step, max(1, mostBar*n/most)
		d.rect(x, y+38-tall, step-3, tall, 1, fmt.Sprintf("h%d", slot%8))
		if step >= 20 {
			d.text(x+(step-3)/2, y+52, "dim tiny mid", fmt.Sprintf("%d: %d", slot, n))
		}
	}
}
