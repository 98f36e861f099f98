package bus

import (
	"math"
	"strings"
	"testing"
)

func TestParseOffset(t *testing.T) {
	for _, tt := range []struct {
		in string
		ok bool
	}{
		{"0-0", true}, {"1700000000000-0", true}, {"1700000000000-18446744073709551615", true},
		{"", false}, {"-", false}, {"1", false}, {"1-", false}, {"-1", false}, {"1-1-1", false}, {"+1-1", false},
		{"1--1", false}, {" 1-1", false}, {"1-1 ", false}, {"01-1", false}, {"1-01", false}, {"0x1-1", false}, {"1_0-1", false},
		{"$", false}, {"(1-1", false}, {"1700000000000-18446744073709551616", false}, {"18446744073709551615-1", false},
		{"10000000000000-0", false}, {strings.Repeat("9", 1000) + "-1", false}, {"१-१", false},
	} {
		o, ok := ParseOffset(tt.in)
		if ok != tt.ok || ok && o.String() != tt.in {
			t.Errorf("ParseOffset(%q) = %v, %v", tt.in, o, ok)
		}
	}
}

func TestOffsetsAreOrdered(t *testing.T) {
	up := []Offset{{}, {0, 1}, {1, 0}, {1, 1}, {2, 0}, {2, math.MaxUint64}}
	for i, a := range up {
		for j, b := range up {
			if a.After(b) != (i > j) {
				t.Errorf("%v.After(%v) = %v", a, b, a.After(b))
			}
		}
	}
}

func FuzzParseOffset(f *testing.F) {
	for _, s := range []string{"0-0", "1700000000000-1", "1-", "-", "99999999999999999999-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if o, ok := ParseOffset(s); ok && (o.String() != s || o.Ms >= 1e13) {
			t.Errorf("ParseOffset(%q) = %v", s, o)
		}
	})
}
