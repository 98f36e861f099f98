package doctor

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// A Style is how a report is drawn.
type Style struct {
	Width int  // columns; 0: 80
	Color bool // a terminal that wants it
	All   bool // tell the evidence of what is ok as well
}

// maxWidth is where lines get too long to read, however wide the terminal.
const maxWidth = 100

type ink struct{ on bool }

func (i ink) paint(code, s string) string {
	if !i.on || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

var looks = map[Status]struct{ mark, color string }{
	OK:      {"✓", "32"},
	Warning: {"!", "33"},
	Failure: {"✗", "31"},
	Skipped: {"-", "2"},
}

// Text writes the report for a terminal: the verdict, a line per check, then
// each problem with its evidence and its fix.
func (r *Report) Text(w io.Writer, s Style) error {
	width := s.Width
	if width <= 0 {
		width = 80
	}
	width = max(40, min(width, maxWidth))
	c := ink{s.Color}
	var b strings.Builder

	worst := r.worst()
	head := wrap(r.Verdict, width-2)
	for i, l := range head {
		mark := "  "
		if i == 0 {
			mark = c.paint("1;"+looks[worst].color, looks[worst].mark) + " "
		}
		fmt.Fprintf(&b, "%s%s\n", mark, c.paint("1", l))
	}
	for _, l := range pack(r.facts(), width-2) {
		fmt.Fprintf(&b, "  %s\n", c.paint("2", l))
	}
	b.WriteByte('\n')

	name := 0
	for _, f := range r.Findings {
		name = max(name, len(f.Check))
	}
	rest := r.skippedTail()
	for _, f := range r.Findings[:len(r.Findings)-rest] {
		look := looks[f.Status]
		for i, l := range wrap(f.Title, width-name-6) {
			if i > 0 {
				fmt.Fprintf(&b, "%*s%s\n", name+6, "", l)
				continue
			}
			if f.Status == Skipped {
				l = c.paint("2", l)
			}
			fmt.Fprintf(&b, "  %s %-*s  %s\n", c.paint(look.color, look.mark), name, f.Check, l)
		}
	}
	if rest > 0 {
		l := fmt.Sprintf("%d more could not be tried", rest)
		fmt.Fprintf(&b, "  %s %-*s  %s\n", c.paint("2", "-"), name, "…", c.paint("2", l))
	}

	printed := map[string]string{} // by which check
	section := func(label, text string) {
		for i, l := range wrap(text, width-11) {
			if i > 0 {
				label = ""
			}
			fmt.Fprintf(&b, "  %s%*s%s\n", c.paint("2", label), 9-len(label), "", l)
		}
	}
	for _, f := range r.Findings {
		if f.Status != Failure && f.Status != Warning {
			continue
		}
		look := looks[f.Status]
		b.WriteByte('\n')
		for i, l := range wrap(f.Title, width-2) {
			mark := "  "
			if i == 0 {
				mark = c.paint(look.color, look.mark) + " "
			}
			fmt.Fprintf(&b, "%s%s\n", mark, c.paint("1", l))
		}
		for i, e := range f.Evidence {
			label := ""
			if i == 0 {
				label = "seen"
			}
			section(label, e)
		}
		section("cause", f.Cause)
		if f.Fix != nil {
			label := "fix"
			if f.Fix.Text != "" {
				section(label, f.Fix.Text)
				label = ""
			}
			if at := printed[f.Fix.Config]; at != "" {
				section(label, "The same configuration as for "+at+".")
			} else if f.Fix.Config != "" {
				printed[f.Fix.Config] = f.Check
				if p := f.Fix.Proxy; p != "" {
					section(label, p+":")
				}
				b.WriteByte('\n')
				for l := range strings.Lines(f.Fix.Config) { // to be copied: not wrapped
					fmt.Fprintf(&b, "    %s\n", c.paint("36", strings.TrimRight(l, "\n")))
				}
			}
		}
	}

	for i, f := range r.noted() {
		if i == 0 {
			b.WriteByte('\n')
		}
		for _, n := range f.Notes {
			for j, l := range wrap(n, width-name-6) {
				mark, label := "·", f.Check
				if j > 0 {
					mark, label = " ", ""
				}
				fmt.Fprintf(&b, "  %s %-*s  %s\n", c.paint("2", mark), name, label, l)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// skippedTail counts the checks at the end that were skipped for one reason.
func (r *Report) skippedTail() (n int) {
	for i := len(r.Findings) - 1; i > 0; i-- {
		f := r.Findings[i]
		if f.Status != Skipped || f.Title != r.Findings[len(r.Findings)-1].Title {
			break
		}
		n++
	}
	if n < 3 {
		return 0
	}
	return n
}

func (r *Report) noted() (fs []*Finding) {
	for _, f := range r.Findings {
		if len(f.Notes) > 0 {
			fs = append(fs, f)
		}
	}
	return fs
}

// worst is the status that the verdict is drawn in.
func (r *Report) worst() Status {
	switch {
	case !r.Healthy:
		return Failure
	case len(r.with(Warning)) > 0:
		return Warning
	}
	return OK
}

// facts is the line below the verdict.
func (r *Report) facts() []string {
	parts := []string{r.URL}
	if r.Engine != 0 {
		parts = append(parts, fmt.Sprintf("Engine.IO %d", r.Engine))
	}
	if r.Proxy != "" {
		parts = append(parts, "behind "+strings.TrimSuffix(r.Proxy+" "+r.Version, " "))
	}
	if w := r.Workers; w != nil && w.High == 0 {
		parts = append(parts, fmt.Sprintf("at least %d workers", w.Low))
	} else if w != nil {
		parts = append(parts, "about "+count(w.About, "worker"))
	}
	parts = append(parts, fmt.Sprintf("%s in %.1f s", count(r.Requests, "request"), r.Seconds))
	return parts
}

// pack sets parts next to one another, as many as a line holds.
func pack(parts []string, width int) (lines []string) {
	line := ""
	for _, p := range parts {
		switch {
		case line == "":
			line = p
		case utf8.RuneCountInString(line+" · "+p) <= width:
			line += " · " + p
		default:
			lines = append(lines, line)
			line = p
		}
	}
	for _, l := range append(lines, line) {
		if utf8.RuneCountInString(l) > width { // an address longer than a line
			return wrap(strings.Join(parts, " · "), width)
		}
	}
	return append(lines, line)
}

// wrap breaks a text into lines of at most width columns, at spaces where
// there are any.
func wrap(s string, width int) (lines []string) {
	width = max(width, 10)
	line, n := "", 0
	for _, word := range strings.Fields(s) {
		w := utf8.RuneCountInString(word)
		if n > 0 && n+1+w > width {
			lines = append(lines, line)
			line, n = "", 0
		}
		for w > width { // longer than a line: cut
			runes := []rune(word)
			lines = append(lines, string(runes[:width]))
			word = string(runes[width:])
			w -= width
		}
		if n > 0 {
			line += " "
			n++
		}
		line += word
		n += w
	}
	if n > 0 {
		lines = append(lines, line)
	}
	return lines
}
