package strategies

import (
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/net/bpf"
)

// header returns the IP header of a packet from a, as far as the program looks.
func header(a netip.Addr) []byte {
	if a = a.Unmap(); a.Is4() {
		b := a.As4()
		return append([]byte{0: 0x45, 11: 0}, b[:]...)
	}
	b := a.As16()
	return append([]byte{0: 0x60, 7: 0}, b[:]...)
}

// run is what the kernel does with the program.
func run(t *testing.T, p []bpf.Instruction, client netip.Addr) int {
	t.Helper()
	vm, err := bpf.NewVM(p)
	if err != nil {
		t.Fatal(err)
	}
	slot, err := vm.Run(header(client))
	if err != nil {
		t.Fatal(err)
	}
	return slot
}

func TestProgramIsSlot(t *testing.T) {
	all := append(clients(1000, false), clients(1000, true)...)
	all = append(all, netip.MustParseAddr("::ffff:192.0.2.7"), netip.MustParseAddr("::"), netip.MustParseAddr("0.0.0.0"))
	for _, live := range [][]int{{0}, {3}, {0, 1}, {0, 1, 2, 3}, {1, 3, 4}, {0, 255}} {
		t.Run(fmt.Sprint(live), func(t *testing.T) {
			p := Program(0, live)
			for _, c := range all {
				if got, want := run(t, p, c), Slot(c, live); got != want {
					t.Fatalf("%v: the program says %d, Slot %d", c, got, want)
				}
			}
		})
	}
}

// TestProgramFits: the kernel takes 4096 instructions, and serve 256 workers.
func TestProgramFits(t *testing.T) {
	var live []int
	for i := range 256 {
		live = append(live, i)
	}
	p := Program(0, live)
	raw, err := bpf.Assemble(p)
	if err != nil || len(raw) > 4096 {
		t.Fatalf("%d instructions, %v", len(raw), err)
	}
	for _, c := range clients(50, true) {
		if got, want := run(t, p, c), Slot(c, live); got != want {
			t.Fatalf("%v: the program says %d, Slot %d", c, got, want)
		}
	}
}

func FuzzProgram(f *testing.F) {
	f.Add([]byte{127, 0, 0, 1}, uint64(0b1011))
	f.Add(make([]byte, 16), uint64(1))
	f.Fuzz(func(t *testing.T, b []byte, slots uint64) {
		client, ok := netip.AddrFromSlice(b)
		var live []int
		for i := range 64 {
			if slots>>i&1 != 0 {
				live = append(live, i)
			}
		}
		if !ok || live == nil {
			return
		}
		if got, want := run(t, Program(0, live), client), Slot(client, live); got != want {
			t.Errorf("%v of %v: the program says %d, Slot %d", client, live, got, want)
		}
	})
}
