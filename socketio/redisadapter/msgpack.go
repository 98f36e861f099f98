package redisadapter

import (
	"encoding/binary"
	"errors"
	"math"
)

// MessagePack, as far as npm's adapter (notepack) speaks it: what JSON has, and
// bytes. Its undefined, an extension, is read as nil.

var errMsgpack = errors.New("invalid MessagePack")

func appendMsgpack(b []byte, v any) []byte {
	switch v := v.(type) {
	case bool:
		if v {
			return append(b, 0xc3)
		}
		return append(b, 0xc2)
	case int:
		return appendInt(b, int64(v))
	case int64:
		return appendInt(b, v)
	case float64:
		if i := int64(v); float64(i) == v && !(v == 0 && math.Signbit(v)) && i > -1<<53 && i < 1<<53 {
			return appendInt(b, i)
		}
		return binary.BigEndian.AppendUint64(append(b, 0xcb), math.Float64bits(v))
	case string:
		n := len(v)
		switch {
		case n < 32:
			b = append(b, 0xa0|byte(n))
		case n < 1<<8:
			b = append(b, 0xd9, byte(n))
		default:
			b = appendLen(b, 0xda, n)
		}
		return append(b, v...)
	case []byte:
		if len(v) < 1<<8 {
			b = append(b, 0xc4, byte(len(v)))
		} else {
			b = appendLen(b, 0xc5, len(v))
		}
		return append(b, v...)
	case []string:
		b = appendSize(b, 0x90, 0xdc, len(v))
		for _, e := range v {
			b = appendMsgpack(b, e)
		}
		return b
	case []any:
		b = appendSize(b, 0x90, 0xdc, len(v))
		for _, e := range v {
			b = appendMsgpack(b, e)
		}
		return b
	case map[string]any:
		b = appendSize(b, 0x80, 0xde, len(v))
		for k, e := range v {
			b = appendMsgpack(appendMsgpack(b, k), e)
		}
		return b
	}
	return append(b, 0xc0)
}

func appendInt(b []byte, i int64) []byte {
	switch {
	case i >= -32 && i < 128:
		return append(b, byte(i))
	case i >= math.MinInt16 && i <= math.MaxInt16:
		return binary.BigEndian.AppendUint16(append(b, 0xd1), uint16(i))
	case i >= math.MinInt32 && i <= math.MaxInt32:
		return binary.BigEndian.AppendUint32(append(b, 0xd2), uint32(i))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xd3), uint64(i))
}

// appendLen writes a length of 16 bits under code, of 32 under the next.
func appendLen(b []byte, code byte, n int) []byte {
	if n < 1<<16 {
		return binary.BigEndian.AppendUint16(append(b, code), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, code+1), uint32(n))
}

func appendSize(b []byte, fix, code byte, n int) []byte {
	if n < 16 {
		return append(b, fix|byte(n))
	}
	return appendLen(b, code, n)
}

// parseMsgpack decodes one value, and nothing after it.
func parseMsgpack(b []byte) (v any, err error) {
	d := decoder{b: b}
	defer func() {
		if recover() != nil { // slices end where the input does
			v, err = nil, errMsgpack
		}
	}()
	v = d.value(200)
	if len(d.b) > 0 {
		return nil, errMsgpack
	}
	return v, nil
}

type decoder struct{ b []byte }

func (d *decoder) take(n int) []byte {
	p := d.b[:n:n]
	d.b = d.b[n:]
	return p
}

// uint reads a number of n bytes.
func (d *decoder) uint(n int) (u uint64) {
	for _, c := range d.take(n) {
		u = u<<8 | uint64(c)
	}
	return u
}

func (d *decoder) len(n int) int {
	u := d.uint(n)
	if u > uint64(len(d.b)) { // whatever it counts takes a byte at least
		panic(errMsgpack)
	}
	return int(u)
}

func (d *decoder) value(depth int) any {
	if depth == 0 {
		panic(errMsgpack)
	}
	c := d.take(1)[0]
	switch {
	case c < 0x80:
		return float64(c)
	case c < 0x90:
		return d.mapping(int(c&0xf), depth)
	case c < 0xa0:
		return d.array(int(c&0xf), depth)
	case c < 0xc0:
		return string(d.take(int(c & 0x1f)))
	case c >= 0xe0:
		return float64(int8(c))
	}
	switch c {
	case 0xc2, 0xc3:
		return c == 0xc3
	case 0xc4, 0xc5, 0xc6:
		return append([]byte{}, d.take(d.len(1<<(c-0xc4)))...)
	case 0xc7, 0xc8, 0xc9: // extensions
		n := d.len(1 << (c - 0xc7))
		d.take(1 + n)
		return nil
	case 0xca:
		return float64(math.Float32frombits(uint32(d.uint(4))))
	case 0xcb:
		return math.Float64frombits(d.uint(8))
	case 0xcc, 0xcd, 0xce, 0xcf:
		return float64(d.uint(1 << (c - 0xcc)))
	case 0xd0:
		return float64(int8(d.uint(1)))
	case 0xd1:
		return float64(int16(d.uint(2)))
	case 0xd2:
		return float64(int32(d.uint(4)))
	case 0xd3:
		return float64(int64(d.uint(8)))
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8:
		d.take(1 + 1<<(c-0xd4))
		return nil
	case 0xd9, 0xda, 0xdb:
		return string(d.take(d.len(1 << (c - 0xd9))))
	case 0xdc, 0xdd:
		return d.array(d.len(2<<(c-0xdc)), depth)
	case 0xde, 0xdf:
		return d.mapping(d.len(2<<(c-0xde)), depth)
	}
	return nil // 0xc0, and 0xc1 which nobody uses
}

func (d *decoder) array(n, depth int) []any {
	out := make([]any, 0, min(n, 1024))
	for range n {
		out = append(out, d.value(depth-1))
	}
	return out
}

func (d *decoder) mapping(n, depth int) map[string]any {
	out := make(map[string]any, min(n, 1024))
	for range n {
		k, _ := d.value(depth - 1).(string)
		out[k] = d.value(depth - 1)
	}
	return out
}
