package ws

import (
	"encoding/binary"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"
	"unicode/utf8"
)

// readBuffer is what an idle connection keeps to read into. Longer messages are
// read where they stay, in steps, so that nobody gets memory for what he only
// announces.
const readBuffer = 1024

// A Conn is a WebSocket. One goroutine may read and one may write at a time.
type Conn struct {
	nc  net.Conn
	raw syscall.RawConn // nil if writes can't be tried without blocking (TLS)
	max int             // bytes of a message

	buf  []byte // read and not yet understood: buf[r:w]
	r, w int

	op  byte   // of the message whose fragments are being read, 0 if none
	msg []byte // its fragments so far

	try     []byte // what tryFD writes
	tried   int
	tryErr  error
	tryFunc func(fd uintptr) bool

	sent, received atomic.Int64 // bytes, after the handshake
}

func newConn(nc net.Conn, read []byte, maxMessage int) *Conn {
	c := &Conn{nc: nc, max: maxMessage, buf: make([]byte, max(readBuffer, len(read)))}
	c.w = copy(c.buf, read)
	c.received.Store(int64(len(read)))
	if sc, ok := nc.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			c.raw, c.tryFunc = raw, c.tryFD
		}
	}
	return c
}

// NetConn is the connection below.
func (c *Conn) NetConn() net.Conn { return c.nc }

// Sent and Received count bytes since the handshake.
func (c *Conn) Sent() int64     { return c.sent.Load() }
func (c *Conn) Received() int64 { return c.received.Load() }

// Unread is what was read from the connection and is not part of a message that
// Next returned: what whoever goes on with the connection needs.
func (c *Conn) Unread() []byte { return c.buf[c.r:c.w] }

// Close closes the connection below.
func (c *Conn) Close() error { return c.nc.Close() }

// Next returns the next message (Text or Binary) or control frame (Close, Ping,
// Pong). The payload is the caller's. Errors are an *Error, or the connection's.
func (c *Conn) Next() (op byte, payload []byte, err error) {
	for {
		h, err := c.header()
		if err != nil {
			return 0, nil, err
		}
		if h.op >= Close {
			p, err := c.payload(nil, h)
			if err == nil && h.op == Close && !validClose(p) {
				err = &Error{CodeProtocol, "invalid close frame"}
			}
			return h.op, p, err
		}
		if (h.op == Continuation) != (c.op != 0) {
			return 0, nil, &Error{CodeProtocol, "fragments out of order"}
		}
		if h.n > uint64(c.max-len(c.msg)) {
			return 0, nil, &Error{CodeTooBig, "message too big"}
		}
		if h.op != Continuation {
			c.op = h.op
		}
		msg, err := c.payload(c.msg, h)
		if err != nil {
			return 0, nil, err
		}
		if !h.fin {
			c.msg = msg
			continue
		}
		op := c.op
		c.op, c.msg = 0, nil
		if op == Text && !utf8.Valid(msg) {
			return 0, nil, &Error{CodeInvalid, "text that is not UTF-8"}
		}
		return op, msg, nil
	}
}

type header struct {
	fin bool
	op  byte
	n   uint64
	key [4]byte
}

// header reads a frame's header. Only clients' frames are masked, and all are.
func (c *Conn) header() (h header, err error) {
	if err := c.need(6); err != nil { // shortest header, mask included
		return h, err
	}
	b0, b1 := c.buf[c.r], c.buf[c.r+1]
	h.fin, h.op = b0&0x80 != 0, b0&0x0f
	switch {
	case b0&0x70 != 0:
		return h, &Error{CodeProtocol, "reserved bits set"}
	case b1&0x80 == 0:
		return h, &Error{CodeProtocol, "frame without mask"}
	case h.op > Binary && h.op < Close || h.op > Pong:
		return h, &Error{CodeProtocol, "unknown opcode"}
	}
	skip := 2
	switch n := b1 & 0x7f; {
	case h.op >= Close && (n > 125 || !h.fin):
		return h, &Error{CodeProtocol, "control frame too long or fragmented"}
	case n == 126:
		if err := c.need(8); err != nil {
			return h, err
		}
		h.n, skip = uint64(binary.BigEndian.Uint16(c.buf[c.r+2:])), 4
	case n == 127:
		if err := c.need(14); err != nil {
			return h, err
		}
		h.n, skip = binary.BigEndian.Uint64(c.buf[c.r+2:]), 10
		if h.n>>63 != 0 {
			return h, &Error{CodeProtocol, "negative length"}
		}
	default:
		h.n = uint64(n)
	}
	copy(h.key[:], c.buf[c.r+skip:])
	c.r += skip + 4
	return h, nil
}

// payload appends a frame's payload to msg.
func (c *Conn) payload(msg []byte, h header) ([]byte, error) {
	const step = 64 << 10 // of what is announced, memory is given for at most this ahead
	n, pos := int(h.n), 0
	if msg == nil {
		msg = make([]byte, 0, min(n, step))
	}
	for pos < n {
		want := min(n-pos, step)
		old := len(msg)
		if cap(msg)-old < want {
			grown := make([]byte, old, max(old+want, min(2*cap(msg), old+n-pos)))
			copy(grown, msg)
			msg = grown
		}
		part := msg[old : old+want]
		had := copy(part, c.buf[c.r:c.w])
		c.r += had
		if had < want {
			got, err := io.ReadFull(c.nc, part[had:])
			c.received.Add(int64(got))
			if err != nil {
				return nil, err
			}
		}
		unmask(part, h.key, pos)
		msg, pos = msg[:old+want], pos+want
	}
	return msg, nil
}

// need makes sure that n bytes are buffered.
func (c *Conn) need(n int) error {
	if c.w-c.r >= n {
		return nil
	}
	if c.r > 0 {
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	}
	for c.w < n {
		got, err := c.nc.Read(c.buf[c.w:])
		c.w += got
		c.received.Add(int64(got))
		if err != nil && c.w < n {
			if err == io.EOF && c.w > 0 {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// Write writes b, blocking until it is written.
func (c *Conn) Write(b []byte) (int, error) {
	n, err := c.nc.Write(b)
	c.sent.Add(int64(n))
	return n, err
}

// TryWrite writes what the kernel takes at once; n < len(b) without an error
// means that it takes no more. ok is false if the connection can't do that.
func (c *Conn) TryWrite(b []byte) (n int, ok bool, err error) {
	if c.raw == nil {
		return 0, false, nil
	}
	c.try, c.tried, c.tryErr = b, 0, nil
	err = c.raw.Write(c.tryFunc)
	n, c.try = c.tried, nil
	if err == nil {
		err = c.tryErr
	}
	c.sent.Add(int64(n))
	return n, true, err
}

func (c *Conn) tryFD(fd uintptr) bool {
	for c.tried < len(c.try) {
		n, err := syscall.Write(int(fd), c.try[c.tried:])
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return true
		case err != nil:
			c.tryErr = err
			return true
		}
		c.tried += n
	}
	return true
}

// SetReadDeadline bounds the next reads.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.nc.SetReadDeadline(t) }

// CloseCode is the code in a close frame's payload.
func CloseCode(p []byte) int {
	if len(p) < 2 {
		return CodeNoStatus
	}
	return int(p[0])<<8 | int(p[1])
}

func validClose(p []byte) bool {
	switch code := CloseCode(p); {
	case len(p) == 0:
		return true
	case len(p) == 1, !utf8.Valid(p[2:]):
		return false
	case code >= 1000 && code <= 1014:
		return code != 1004 && code != 1005 && code != 1006
	default:
		return code >= 3000 && code <= 4999
	}
}
