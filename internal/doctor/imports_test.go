package doctor_test

import (
	"os/exec"
	"strings"
	"testing"
)

// TestImports: the doctor judges from outside, and so must not know the answer.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	const us = "github.com/samedoor/samedoor/"
	for p := range strings.Lines(string(out)) {
		if p = strings.TrimSpace(p); strings.HasPrefix(p, us) && p != us+"internal/doctor" {
			t.Errorf("the doctor imports %s", p)
		}
	}
}
