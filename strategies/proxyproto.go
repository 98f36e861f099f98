package strategies

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// What [ParsePROXY] finds wrong.
var (
	ErrShortPROXY = errors.New("PROXY protocol: the header is not complete")
	ErrPROXY      = errors.New("PROXY protocol: not a header")
)

const (
	signatureV2 = "\r\n\r\n\x00\r\nQUIT\n"
	maxV1       = 107     // bytes, the line's end included
	maxV2       = 4 << 10 // bytes: far beyond what proxies add to it, but no more
)

// ParsePROXY reads the header of the PROXY protocol, version 1 or 2, that b
// may begin with. n is the header's length in bytes; 0 without an error: b
// begins with something else. src is the client as the proxy tells it, and
// invalid if it tells none (LOCAL, UNKNOWN, a unix socket): then the
// connection's own address counts. [ErrShortPROXY]: come again with more bytes.
// [ErrPROXY]: no more bytes would help.
//
// Anybody can write such a header: ask only for connections of trusted proxies.
func ParsePROXY(b []byte) (src netip.AddrPort, n int, err error) {
	switch {
	case begins(b, signatureV2):
		return parseV2(b)
	case begins(b, "PROXY "):
		return parseV1(b)
	}
	return src, 0, nil
}

// begins tells whether b begins with mark, or may once there is more of it.
func begins(b []byte, mark string) bool {
	n := min(len(b), len(mark))
	return string(b[:n]) == mark[:n]
}

func parseV2(b []byte) (src netip.AddrPort, n int, err error) {
	if len(b) < 16 {
		return src, 0, ErrShortPROXY
	}
	version, command, family := b[12]>>4, b[12]&15, b[13]
	n = 16 + int(binary.BigEndian.Uint16(b[14:]))
	switch {
	case version != 2 || command > 1 || n > maxV2:
		return src, 0, ErrPROXY
	case len(b) < n:
		return src, 0, ErrShortPROXY
	case command == 0: // LOCAL: the proxy itself asks, to see whether we are well
		return src, n, nil
	}
	switch body := b[16:n]; family {
	case 0x11: // TCP over IPv4: two addresses, two ports
		if len(body) < 12 {
			return src, 0, ErrPROXY
		}
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(body)), binary.BigEndian.Uint16(body[8:])), n, nil
	case 0x21: // TCP over IPv6
		if len(body) < 36 {
			return src, 0, ErrPROXY
		}
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(body)).Unmap(), binary.BigEndian.Uint16(body[32:])), n, nil
	}
	return src, n, nil
}

func parseV1(b []byte) (src netip.AddrPort, n int, err error) {
	line, _, ok := bytes.Cut(b[:min(len(b), maxV1)], []byte("\r\n"))
	switch {
	case !ok && len(b) >= maxV1:
		return src, 0, ErrPROXY
	case !ok:
		return src, 0, ErrShortPROXY
	}
	n = len(line) + 2
	f := strings.Split(string(line), " ") // PROXY TCP4 from to port port
	if f[1] == "UNKNOWN" {
		return src, n, nil
	}
	if len(f) != 6 {
		return src, 0, ErrPROXY
	}
	from, err1 := parseV1Addr(f[1], f[2])
	_, err2 := parseV1Addr(f[1], f[3])
	port, err3 := strconv.ParseUint(f[4], 10, 16)
	_, err4 := strconv.ParseUint(f[5], 10, 16)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return src, 0, ErrPROXY
	}
	return netip.AddrPortFrom(from.Unmap(), uint16(port)), n, nil
}

func parseV1Addr(family, s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err == nil && (family == "TCP4" && a.Is4() || family == "TCP6" && a.Is6() && a.Zone() == "") {
		return a, nil
	}
	return a, ErrPROXY
}
