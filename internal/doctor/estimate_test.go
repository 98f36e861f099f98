package doctor

import (
	"math/rand/v2"
	"testing"
)

func TestEstimateRoundRobin(t *testing.T) {
	for n := 2; n <= 7; n++ {
		for offset := range n {
			bits := make([]bool, 24)
			for i := range bits {
				bits[i] = i%n == offset
			}
			if w := estimate(bits, tally{all: 12, hits: 12 / n}); w == nil || w.About != n || w.How != "round robin" {
				t.Errorf("round robin of %d, offset %d: %+v", n, offset, w)
			}
		}
	}
}

// TestEstimateRandom: the interval holds the truth about as often as it says.
func TestEstimateRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{2, 3, 4, 6} {
		inside := 0
		const runs = 500
		for range runs {
			bits := make([]bool, 24)
			for i := range bits {
				bits[i] = r.IntN(n) == 0
			}
			rest := tally{all: 12}
			for range rest.all {
				if r.IntN(n) == 0 {
					rest.hits++
				}
			}
			if w := estimate(bits, rest); w != nil && w.Low <= n && n <= w.High {
				inside++
			}
		}
		if inside < runs*75/100 {
			t.Errorf("%d workers: %d of %d intervals hold them", n, inside, runs)
		}
	}
}

func TestCollected(t *testing.T) {
	for _, c := range []struct {
		met  []int
		want Estimate
	}{
		{[]int{0, 1, 2, 3, 0, 1, 2, 3, 0, 1}, Estimate{4, 4, 4, "round robin"}},
		{[]int{0, 1, 2, 3, 4, 5, 6, 0, 1, 2}, Estimate{7, 7, 7, "round robin"}},
		{[]int{0, 0, 1, 0, 1, 1, 0, 1, 0, 0, 1}, Estimate{2, 2, 2, "connections"}},
		{[]int{0, 1, 2, 3, 4, 5}, Estimate{6, 6, 0, "connections"}},
	} {
		if got := collected(c.met); *got != c.want {
			t.Errorf("collected(%v) = %+v, want %+v", c.met, *got, c.want)
		}
	}
	// At random, within one of the truth nine times in ten.
	r := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{2, 3, 4} {
		near := 0
		for range 500 {
			names, met := map[int]int{}, []int{}
			for range 14 {
				w := r.IntN(n)
				if _, ok := names[w]; !ok {
					names[w] = len(names)
				}
				met = append(met, names[w])
			}
			if got := collected(met); got.About >= n-1 && got.About <= n+1 {
				near++
			}
		}
		if near < 450 {
			t.Errorf("%d workers: %d of 500 within one", n, near)
		}
	}
}

func TestEstimateTellsNothing(t *testing.T) {
	if w := estimate(make([]bool, 24), tally{all: 12}); w != nil {
		t.Errorf("no hit at all: %+v", w)
	}
}
