package doctor

import "fmt"

// Changes tells in lines what is different from an examination before. A
// finding that changes its words but not its status is none: times vary.
func (r *Report) Changes(before *Report) (lines []string) {
	for _, f := range r.Findings {
		b := before.find(f.Check)
		if b.Status == f.Status {
			continue
		}
		lines = append(lines, fmt.Sprintf("%s: %s → %s: %s", f.Check, b.Status, f.Status, f.Title))
	}
	if r.Healthy != before.Healthy {
		lines = append(lines, "verdict: "+r.Verdict)
	}
	return lines
}
