package restart

import (
	"testing"
	"time"
)

func TestPolicy(t *testing.T) {
	const d, up, long = 5 * time.Second, 10 * time.Second, 2 * time.Minute
	for _, tt := range []struct {
		name   string
		max    int
		deaths []time.Duration // how long each process had been ready
		want   []time.Duration // delays; -1: given up
	}{
		{"healthy at first", 3, []time.Duration{up, up, up, up}, []time.Duration{0, d, d, -1}},
		{"never ready", 3, []time.Duration{0, 0, 0, 0}, []time.Duration{d, d, d, -1}},
		{"a healthy minute forgives", 2, []time.Duration{up, up, long, up, up}, []time.Duration{0, d, 0, d, -1}},
		{"never ready, then healthy", 3, []time.Duration{0, up}, []time.Duration{d, d}},
		{"no restarts", 0, []time.Duration{long}, []time.Duration{-1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := Policy{Max: tt.max, Delay: d}
			for i, ready := range tt.deaths {
				after, giveUp := p.Died(ready)
				if giveUp {
					after = -1
				}
				if after != tt.want[i] {
					t.Errorf("death %d: %v, want %v", i+1, after, tt.want[i])
				}
			}
		})
	}
}
