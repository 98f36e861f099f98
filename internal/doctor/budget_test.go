package doctor_test

import (
	"testing"

	"github.com/samedoor/samedoor/internal/doctor"
	"github.com/samedoor/samedoor/internal/doctor/doctortest"
)

// TestBudget: with few requests the doctor asks no more, and claims no more.
func TestBudget(t *testing.T) {
	t.Parallel()
	addr := doctortest.Node(t, doctortest.NodeConfig{Kind: "single"})
	for _, n := range []int{1, 4, 7, 12, 20, 25, 35, 43} {
		r, err := doctor.Run(t.Context(), doctor.Options{URL: addr, Quick: true, Requests: n})
		if err != nil {
			t.Fatal(err)
		}
		if r.Requests > n {
			t.Errorf("%d requests, %d were allowed", r.Requests, n)
		}
		for _, f := range r.Findings {
			if f.Status == doctor.Failure || f.Status == doctor.Warning {
				t.Errorf("with %d requests: %s is %s: %s", n, f.Check, f.Status, f.Title)
			}
		}
		if told := r.Find("sticky").Status == doctor.OK; r.Healthy != told || (r.Exit == 0) != told {
			t.Errorf("with %d requests: %s", n, r.Verdict)
		}
	}
}
