package doctor

import (
	"fmt"
	"math"
	"slices"
)

// An Estimate is how many workers there seem to be.
type Estimate struct {
	About int    `json:"about"`
	Low   int    `json:"low"`
	High  int    `json:"high"` // 0: open
	How   string `json:"how"`  // round robin, connections, share
}

// estimate tells the number of workers from follow-ups of one session, made
// one after the other, and from others made at random. With n workers one in
// n reaches the owner; at regular distances that is a round robin, and exact.
func estimate(bits []bool, others tally) *Estimate {
	if n := period(bits); n > 1 {
		return &Estimate{About: n, Low: n, High: n, How: "round robin"}
	}
	hits, all := others.hits, others.all
	if !slices.Contains(bits, true) || !slices.Contains(bits, false) {
		bits = nil // one connection kept to one worker: it tells nothing of the others
	}
	for _, b := range bits {
		if all++; b {
			hits++
		}
	}
	if hits == 0 || all == 0 {
		return nil
	}
	// Wilson's interval of 80 %.
	const z = 1.28
	n, p := float64(all), float64(hits)/float64(all)
	mid := (p + z*z/(2*n)) / (1 + z*z/n)
	off := z / (1 + z*z/n) * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	round := func(share float64) int { return int(math.Round(1 / max(share, 1e-3))) }
	about := max(2, round(p))
	return &Estimate{About: about, Low: min(about, max(2, round(mid+off))), High: max(about, round(mid-off)), How: "share"}
}

// period returns the distance of the hits if it is always the same, over at
// least three of them.
func period(bits []bool) int {
	last, gap, hits := -1, 0, 0
	for i, b := range bits {
		if !b {
			continue
		}
		if hits++; last >= 0 {
			if gap != 0 && i-last != gap {
				return 0
			}
			gap = i - last
		}
		last = i
	}
	// Neither the beginning nor the end may be longer than the distance.
	if hits < 3 || len(bits)-last > gap || last-(hits-1)*gap >= gap {
		return 0
	}
	return gap
}

// collected tells the number of workers from which of them successive
// connections met; they are numbered in the order of their first appearance.
func collected(met []int) *Estimate {
	k, distinct := len(met), 0
	for _, m := range met {
		distinct = max(distinct, m+1)
	}
	inTurn := true
	for i, m := range met {
		inTurn = inTurn && m == i%distinct
	}
	w := &Estimate{About: distinct, Low: distinct, High: distinct, How: "connections"}
	switch {
	case inTurn && k > distinct+1:
		w.How = "round robin"
		return w
	case k == distinct:
		w.High = 0
		return w
	}
	// How many different ones k connections at random meet, out of n.
	expect := func(n int) float64 { return float64(n) * (1 - math.Pow(1-1/float64(n), float64(k))) }
	for w.About < 1000 && expect(w.About) < float64(distinct)-0.5 {
		w.About++
	}
	w.High = w.About
	for w.High < 2000 && expect(w.High+1) < float64(distinct)+0.75 {
		w.High++
	}
	return w
}

// nth is 2nd, 3rd, 4th …
func nth(n int) string {
	switch {
	case n%100 >= 11 && n%100 <= 13:
	case n%10 == 1:
		return fmt.Sprintf("%dst", n)
	case n%10 == 2:
		return fmt.Sprintf("%dnd", n)
	case n%10 == 3:
		return fmt.Sprintf("%drd", n)
	}
	return fmt.Sprintf("%dth", n)
}

// bytes is a size as people say it.
func bytes(n int) string {
	switch {
	case n <= 0:
		return "not announced"
	case n < 10_000:
		return fmt.Sprintf("%d bytes", n)
	case n < 1_000_000:
		return fmt.Sprintf("%d kB", n/1000)
	}
	return fmt.Sprintf("%g MB", math.Round(float64(n)/1e5)/10)
}
