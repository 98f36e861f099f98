package worker

import (
	"strings"
	"testing"

	"github.com/samedoor/samedoor/internal/control"
)

func TestCrowded(t *testing.T) {
	for _, tt := range []struct {
		sessions []int // -1: given up
		want     string
	}{
		{[]int{5, 5, 5, 5}, ""},
		{[]int{10, 4, 3, 3}, ""}, // just twice
		{[]int{3, 11, 3, 3}, "worker 1 holds 11 of 20 sessions"},
		{[]int{0, 0, 19, 0}, ""}, // too few to say
		{[]int{0, 0, 20, 0}, "worker 2 holds 20 of 20 sessions"},
		{[]int{20}, ""},
		{[]int{39, 1}, ""}, // of two workers none can hold more than twice a half
		{[]int{40, 0}, "worker 0 holds 40 of 40 sessions"},
		{[]int{20, 20, -1, -1, -1}, ""},
		{nil, ""},
	} {
		var ws []workerStatus
		for slot, n := range tt.sessions {
			w := workerStatus{Worker: control.Worker{Slot: slot, State: control.Ready}, Sessions: n}
			if n < 0 {
				w.State, w.Sessions = control.GivenUp, 0
			}
			ws = append(ws, w)
		}
		got := crowded(ws)
		if tt.want == "" && got != "" || !strings.HasPrefix(got, tt.want) {
			t.Errorf("%v: %q, want %q", tt.sessions, got, tt.want)
		}
	}
}
