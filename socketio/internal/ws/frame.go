// Package ws is the server's side of WebSocket (RFC 6455), cut to what Engine.IO
// needs: frames that are made once and written to many connections, writes that
// never block the writer, and little memory while a connection is idle.
package ws

import (
	"encoding/binary"
	"errors"
)

// Opcodes.
const (
	Continuation = 0
	Text         = 1
	Binary       = 2
	Close        = 8
	Ping         = 9
	Pong         = 10
)

// Close codes.
const (
	CodeNormal    = 1000
	CodeGoingAway = 1001
	CodeProtocol  = 1002
	CodeNoStatus  = 1005
	CodeInvalid   = 1007
	CodePolicy    = 1008
	CodeTooBig    = 1009
	CodeInternal  = 1011
)

// MaxHeader is the length of a server's longest frame header.
const MaxHeader = 10

// An Error is what a client did wrong, with the code to close with.
type Error struct {
	Code int
	Text string
}

func (e *Error) Error() string { return "websocket: " + e.Text }

// Violated is the code to close with after err: 1002, 1007, 1009, or 0 if err
// isn't the client's fault.
func Violated(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// AppendHeader appends the header of an unmasked, final frame of n bytes.
func AppendHeader(b []byte, op byte, n int) []byte {
	b = append(b, 0x80|op)
	switch {
	case n < 126:
		return append(b, byte(n))
	case n < 1<<16:
		return append(b, 126, byte(n>>8), byte(n))
	}
	return binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
}

// HeaderLen is the length of the header of a frame of n bytes.
func HeaderLen(n int) int {
	switch {
	case n < 126:
		return 2
	case n < 1<<16:
		return 4
	}
	return 10
}

// AppendFrame appends a whole frame.
func AppendFrame(b []byte, op byte, payload []byte) []byte {
	return append(AppendHeader(b, op, len(payload)), payload...)
}

// CloseFrame is a close frame with a code and a reason of at most 123 bytes.
func CloseFrame(code int, reason string) []byte {
	p := append([]byte{byte(code >> 8), byte(code)}, reason[:min(len(reason), 123)]...)
	return AppendFrame(make([]byte, 0, 2+len(p)), Close, p)
}

// unmask undoes a client's mask; pos is the offset of b in its frame.
func unmask(b []byte, key [4]byte, pos int) {
	k := [4]byte{key[pos&3], key[(pos+1)&3], key[(pos+2)&3], key[(pos+3)&3]}
	k32 := binary.LittleEndian.Uint32(k[:])
	k64 := uint64(k32)<<32 | uint64(k32)
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^k64)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= k[i&3]
	}
}
