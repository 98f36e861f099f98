package doctor_test

import (
	"context"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/doctor"
	"github.com/samedoor/samedoor/internal/doctor/doctortest"
)

// TestInterrupt: the report comes soon, has every check, and blames nobody.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	addr := doctortest.Node(t, doctortest.NodeConfig{Kind: "single"})
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	start := time.Now()
	r, err := doctor.Run(ctx, doctor.Options{URL: addr})
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 9*time.Second {
		t.Errorf("took %v", took)
	}
	for _, f := range r.Findings {
		if f.Title == "" || f.Status == doctor.Failure || f.Status == doctor.Warning {
			t.Errorf("%s is %s: %q", f.Check, f.Status, f.Title)
		}
	}
	if r.Exit != 1 || r.Find("idle").Status != doctor.Skipped {
		t.Errorf("%s\n%s", r.Verdict, text(t, r))
	}
}
