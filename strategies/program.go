package strategies

import "golang.org/x/net/bpf"

// Program returns [Slot] in classic BPF, for the same live slots: what the
// kernel runs to choose among sockets that share an address. It returns the
// slot that the source of the packet belongs to. header is where the IP header
// begins; IPv4, and IPv4-mapped clients of an IPv6 socket, send one of version 4.
//
// 15 instructions a slot, of the 4096 that the kernel takes.
func Program(header uint32, live []int) []bpf.Instruction {
	const key, best, slot = 0, 1, 2 // scratch
	p := []bpf.Instruction{
		bpf.LoadAbsolute{Off: header, Size: 1}, // version and header length
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 6, SkipFalse: 6}, // else to IPv4
		bpf.LoadAbsolute{Off: header + 8, Size: 4},            // IPv6: the first half of the source
		bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: golden},
		bpf.TAX{},
		bpf.LoadAbsolute{Off: header + 12, Size: 4},
		bpf.ALUOpX{Op: bpf.ALUOpXor},
		bpf.Jump{Skip: 1},
		bpf.LoadAbsolute{Off: header + 12, Size: 4}, // IPv4: the source
	}
	// mix begins with xorShift(16), which distributes over key ^ seed: done once
	// for the key here, and for the seeds below, it need not be done per slot.
	p = append(p, xorShift(16)...)
	p = append(p,
		bpf.StoreScratch{Src: bpf.RegA, N: key},
		bpf.LoadConstant{Dst: bpf.RegA, Val: 0},
		bpf.StoreScratch{Src: bpf.RegA, N: best},
		bpf.LoadConstant{Dst: bpf.RegA, Val: uint32(live[0])},
		bpf.StoreScratch{Src: bpf.RegA, N: slot},
	)
	for _, s := range live {
		h := seed(s)
		p = append(p,
			bpf.LoadScratch{Dst: bpf.RegA, N: key},
			bpf.ALUOpConstant{Op: bpf.ALUOpXor, Val: h ^ h>>16},
			bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: mix1},
		)
		p = append(p, xorShift(13)...)
		p = append(p, bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: mix2})
		p = append(p, xorShift(16)...)
		p = append(p,
			bpf.LoadScratch{Dst: bpf.RegX, N: best},
			bpf.JumpIfX{Cond: bpf.JumpGreaterThan, SkipFalse: 3},
			bpf.StoreScratch{Src: bpf.RegA, N: best},
			bpf.LoadConstant{Dst: bpf.RegA, Val: uint32(s)},
			bpf.StoreScratch{Src: bpf.RegA, N: slot},
		)
	}
	return append(p, bpf.LoadScratch{Dst: bpf.RegA, N: slot}, bpf.RetA{})
}

// xorShift is A ^= A >> n.
func xorShift(n uint32) []bpf.Instruction {
	return []bpf.Instruction{bpf.TAX{}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: n}, bpf.ALUOpX{Op: bpf.ALUOpXor}}
}
