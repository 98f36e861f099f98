package strategies

import (
	"encoding/binary"
	"math"
	"net/netip"
	"strconv"
	"strings"
)

// Slot returns which of the live slots a client belongs to, by rendezvous
// hashing (highest random weight): when a slot joins or leaves, only its own
// share of clients moves. live must not be empty.
func Slot(client netip.Addr, live []int) int {
	key := key32(client)
	best, slot := uint32(0), live[0]
	for _, s := range live {
		if score := mix(key ^ seed(s)); score > best {
			best, slot = score, s
		}
	}
	return slot
}

// key32 reduces an address to what identifies a client: the IPv4 address, or
// the /64 of an IPv6 address, whose lower half a client changes at will.
func key32(a netip.Addr) uint32 {
	a = a.Unmap()
	if a.Is4() {
		b := a.As4()
		return binary.BigEndian.Uint32(b[:])
	}
	b := a.As16()
	return binary.BigEndian.Uint32(b[0:])*golden ^ binary.BigEndian.Uint32(b[4:])
}

const (
	golden     = 0x9E3779B1 // 2³² over the golden ratio: spreads what is multiplied by it
	mix1, mix2 = 0x85EBCA6B, 0xC2B2AE35
)

// mix is a 32-bit finaliser (murmur3's) made of operations that classic BPF
// has too, so that the kernel can compute the same hash ([Program]).
func mix(h uint32) uint32 {
	h ^= h >> 16
	h *= mix1
	h ^= h >> 13
	h *= mix2
	return h ^ h>>16
}

// seed tells one slot's scores from another's.
func seed(slot int) uint32 { return mix(uint32(slot)*golden + 0x7F4A7C15) }

// Digits is the hash of the article this project began with, kept for
// comparison: the decimal digits of the address as text, read as a float64,
// modulo the number of slots. A long run of digits loses its last ones to
// rounding, which is why IPv6 clients pile up on a few slots.
func Digits(client netip.Addr, live []int) int {
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, client.Unmap().String())
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil { // an address without a decimal digit, such as ::
		n = 0
	}
	return live[int(math.Mod(n, float64(len(live))))]
}
