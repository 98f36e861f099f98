package bus

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Offset is a place in a room's stream: the server's clock in milliseconds
// since 1970, and a counter within that millisecond. To clients it is an
// opaque string. The zero Offset stands before every message.
type Offset struct{ Ms, Seq uint64 }

// ParseOffset reads what [Offset.String] writes, and nothing else: two decimal
// numbers without sign or leading zero, and a time before the year 2286, so
// that no forged offset stands after all that will ever be sent.
func ParseOffset(s string) (Offset, bool) {
	ms, seq, ok := strings.Cut(s, "-")
	if !ok {
		return Offset{}, false
	}
	o, ok1 := number(ms)
	n, ok2 := number(seq)
	if !ok1 || !ok2 || o >= 1e13 {
		return Offset{}, false
	}
	return Offset{o, n}, true
}

// number refuses what ParseUint takes beyond plain digits.
func number(s string) (uint64, bool) {
	if s == "" || s[0] < '0' || s[0] > '9' || (s[0] == '0' && len(s) > 1) {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil
}

func (o Offset) String() string {
	return strconv.FormatUint(o.Ms, 10) + "-" + strconv.FormatUint(o.Seq, 10)
}

// After reports whether o stands behind p.
func (o Offset) After(p Offset) bool { return o.Ms > p.Ms || o.Ms == p.Ms && o.Seq > p.Seq }

// real reports whether some server may have given this offset away; smaller
// ones, such as 0-0, are a client's way to ask for everything.
func (o Offset) real() bool { return o.Ms >= uint64(time.Unix(1e9, 0).UnixMilli()) }

// serverOffset reads an id the server gave us.
func serverOffset(s string) (Offset, error) {
	o, ok := ParseOffset(s)
	if !ok {
		return Offset{}, fmt.Errorf("the server's stream id %q is none", s)
	}
	return o, nil
}
