package doctor

import "fmt"

// Changes tells in lines what is different from an examination before. A
// finding that changes its words but not its status is none: times vary. Nor is
// one that could not be tried for a while.
func (r *Report) Changes(before *Report) (lines []string) {
	bad := func(s Status) bool { return s == Failure || s == Warning }
	for _, f := range r.Findings {
		b := before.find(f.Check)
		if b.Status != f.Status && (bad(b.Status) || bad(f.Status)) {
			lines = append(lines, fmt.Sprintf("%s: %s → %s: %s", f.Check, b.Status, f.Status, f.Title))
		}
	}
	if r.Healthy != before.Healthy || r.Exit != before.Exit {
		lines = append(lines, "verdict: "+r.Verdict)
	}
	return lines
}
