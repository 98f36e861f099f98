package doctor

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// JSON writes the report in its stable schema.
func (r *Report) JSON(w io.Writer, indent bool) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if indent {
		enc.SetIndent("", "  ")
	}
	return enc.Encode(r)
}

// JUnit writes the report as CI systems read test results: a case per check.
func (r *Report) JUnit(w io.Writer) error {
	type message struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
	type testcase struct {
		Name    string   `xml:"name,attr"`
		Class   string   `xml:"classname,attr"`
		Time    string   `xml:"time,attr"`
		Failure *message `xml:"failure,omitempty"`
		Skipped *message `xml:"skipped,omitempty"`
		Out     string   `xml:"system-out,omitempty"`
	}
	type suite struct {
		XMLName  xml.Name   `xml:"testsuite"`
		Name     string     `xml:"name,attr"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Skipped  int        `xml:"skipped,attr"`
		Time     string     `xml:"time,attr"`
		At       string     `xml:"timestamp,attr"`
		Cases    []testcase `xml:"testcase"`
	}
	s := suite{
		Name: "samedoor doctor " + r.URL, Tests: len(r.Findings),
		Failures: len(r.with(Failure)), Skipped: len(r.with(Skipped)),
		Time: fmt.Sprintf("%.3f", r.Seconds), At: r.At.Format("2006-01-02T15:04:05"),
	}
	for _, f := range r.Findings {
		c := testcase{Name: f.Check, Class: "samedoor.doctor", Time: fmt.Sprintf("%.3f", float64(f.Millis)/1000)}
		switch f.Status {
		case Failure:
			c.Failure = &message{f.Title, f.details()}
		case Skipped:
			c.Skipped = &message{Message: f.Title}
		case Warning:
			c.Out = "warning: " + f.Title + "\n" + f.details()
		default:
			c.Out = f.Title
		}
		s.Cases = append(s.Cases, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(s); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// details is evidence, cause and fix as plain text.
func (f *Finding) details() string {
	var b strings.Builder
	for _, e := range f.Evidence {
		fmt.Fprintf(&b, "seen: %s\n", e)
	}
	if f.Cause != "" {
		fmt.Fprintf(&b, "cause: %s\n", f.Cause)
	}
	if f.Fix != nil {
		if f.Fix.Text != "" {
			fmt.Fprintf(&b, "fix: %s\n", f.Fix.Text)
		}
		if f.Fix.Config != "" {
			fmt.Fprintf(&b, "fix %s:\n%s", f.Fix.Proxy, f.Fix.Config)
		}
	}
	return b.String()
}

// Markdown writes the report to be pasted into an issue.
func (r *Report) Markdown(w io.Writer) error {
	cell := strings.NewReplacer("|", "\\|", "\n", " ", "<", "&lt;")
	code := func(s string) string { // a code span that the text can't end
		if strings.Contains(s, "`") {
			return "`` " + s + " ``"
		}
		return "`" + s + "`"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "**%s**\n\n%s\n\n| | check | |\n|---|---|---|\n", cell.Replace(r.Verdict), cell.Replace(strings.Join(r.facts(), " · ")))
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", f.Status, f.Check, cell.Replace(f.Title))
	}
	for _, f := range r.Findings {
		if f.Status != Failure && f.Status != Warning {
			continue
		}
		fmt.Fprintf(&b, "\n### %s: %s\n\n", f.Check, cell.Replace(f.Title))
		for _, e := range f.Evidence {
			fmt.Fprintf(&b, "- %s\n", code(e))
		}
		if f.Cause != "" {
			fmt.Fprintf(&b, "\nCause: %s\n", cell.Replace(f.Cause))
		}
		if f.Fix != nil {
			if f.Fix.Text != "" {
				fmt.Fprintf(&b, "\nFix: %s\n", cell.Replace(f.Fix.Text))
			}
			if f.Fix.Config != "" {
				fmt.Fprintf(&b, "\n```\n%s```\n", f.Fix.Config)
			}
		}
	}
	for _, f := range r.Findings {
		for _, n := range f.Notes {
			fmt.Fprintf(&b, "\n%s: %s\n", f.Check, cell.Replace(n))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
