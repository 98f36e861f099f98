package strategies

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
)

func ExampleSlot() {
	client := netip.MustParseAddr("192.0.2.7")
	fmt.Println(Slot(client, []int{0, 1, 2, 3}), Slot(netip.MustParseAddr("::ffff:192.0.2.7"), []int{0, 1, 2, 3}))
	// Output: 0 0
}

func ExampleDigits() {
	// 19216817 modulo 4
	fmt.Println(Digits(netip.MustParseAddr("192.168.1.7"), []int{0, 1, 2, 3}))
	// Output: 1
}

// clients returns n addresses, IPv4 or of different IPv6 networks.
func clients(n int, v6 bool) []netip.Addr {
	r := rand.New(rand.NewPCG(1, 2))
	all := make([]netip.Addr, n)
	for i := range all {
		if v6 {
			b := [16]byte{0x20, 0x01, 0x0d, 0xb8}
			for j := 4; j < 16; j++ {
				b[j] = byte(r.Uint32())
			}
			all[i] = netip.AddrFrom16(b)
		} else {
			all[i] = netip.AddrFrom4([4]byte{10, byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())})
		}
	}
	return all
}

func TestSlotSpreadsEvenly(t *testing.T) {
	const n, slots = 20000, 4
	for _, v6 := range []bool{false, true} {
		var count [slots]int
		for _, c := range clients(n, v6) {
			count[Slot(c, []int{0, 1, 2, 3})]++
		}
		for s, got := range count {
			if share := float64(got) / (n / slots); share < 0.9 || share > 1.1 {
				t.Errorf("IPv6 %v: slot %d has %.2f of its fair share", v6, s, share)
			}
		}
	}
}

func TestSlotMovesFew(t *testing.T) {
	const n = 20000
	moved, gone := 0, 0
	for _, c := range clients(n, false) {
		four := Slot(c, []int{0, 1, 2, 3})
		if five := Slot(c, []int{0, 1, 2, 3, 4}); five != four {
			moved++
			if five != 4 {
				t.Fatalf("%v moved from %d to %d, not to the new slot", c, four, five)
			}
		}
		if three := Slot(c, []int{0, 2, 3}); three != four {
			gone++
			if four != 1 {
				t.Fatalf("%v moved from %d to %d though its slot stayed", c, four, three)
			}
		}
	}
	t.Logf("4 to 5 slots move %.1f %%, a slot given up %.1f %%", 100*float64(moved)/n, 100*float64(gone)/n)
	if moved < n/6 || moved > n/4 || gone < n/5 || gone > n*3/10 {
		t.Errorf("moved %d and %d of %d", moved, gone, n)
	}
}

// TestDigitsPilesUp keeps what the article's hash does true to its name, and
// shows why it is not the default.
func TestDigitsPilesUp(t *testing.T) {
	const n = 20000
	var count [4]int
	for _, c := range clients(n, true) {
		count[Digits(c, []int{0, 1, 2, 3})]++
	}
	worst := 0.0
	for _, got := range count {
		worst = max(worst, float64(got)/(n/4))
	}
	t.Logf("worst slot has %.2f of its fair share of IPv6 clients", worst)
	if worst < 2 {
		t.Errorf("spreads IPv6 clients evenly (%v): is it still the article's hash?", count)
	}
	for addr, want := range map[string]int{"127.0.0.1": 1, "10.0.0.15": 15 % 4, "::": 0, "2001:db8::7": 200187 % 4, "::ffff:10.0.0.2": 2} {
		if got := Digits(netip.MustParseAddr(addr), []int{0, 1, 2, 3}); got != want {
			t.Errorf("Digits(%s) = %d, want %d", addr, got, want)
		}
	}
}

func TestOneClientIsItsNetwork(t *testing.T) {
	live := []int{0, 1, 2, 3, 4, 5, 6, 7}
	a, b := netip.MustParseAddr("2001:db8:1:2::1"), netip.MustParseAddr("2001:db8:1:2:ffff:ffff:ffff:ffff")
	if Slot(a, live) != Slot(b, live) {
		t.Error("two addresses of one /64 have different slots")
	}
}

func FuzzHashes(f *testing.F) {
	f.Add([]byte{127, 0, 0, 1}, uint8(3))
	f.Add(make([]byte, 16), uint8(0))
	f.Fuzz(func(t *testing.T, b []byte, n uint8) {
		a, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		live := make([]int, int(n)+1)
		for i := range live {
			live[i] = 2 * i // slots need not follow one another
		}
		for _, hash := range []PickFunc{Slot, Digits} {
			s := hash(a, live)
			if s < 0 || s > 2*int(n) || s%2 != 0 {
				t.Errorf("%v: slot %d is not live", a, s)
			}
			if hash(a, live) != s {
				t.Errorf("%v: not the same slot twice", a)
			}
		}
	})
}

func BenchmarkSlot(b *testing.B) {
	c, live := netip.MustParseAddr("192.0.2.7"), []int{0, 1, 2, 3}
	for b.Loop() {
		Slot(c, live)
	}
}
