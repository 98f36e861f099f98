package engine

import (
	"bytes"
	"encoding/base64"
	"errors"
	"unicode/utf8"

	"github.com/samedoor/samedoor/socketio/internal/ws"
)

// Types of packets, as they stand on the wire.
const (
	typeOpen    = '0'
	typeClose   = '1'
	typePing    = '2'
	typePong    = '3'
	typeMessage = '4'
	typeUpgrade = '5'
	typeNoop    = '6'
	typeBinary  = 'b' // base64, in payloads

	separator = 0x1e // between the packets of a payload
)

// A Packet is a packet for the client, encoded and framed once, for any number
// of sessions and either transport. Its bytes are shared: nobody changes them.
type Packet struct {
	frame  []byte // the WebSocket frame: header, then what polling sends
	head   int    // length of the header
	binary bool
}

// Text is a message of text, which must be UTF-8.
func Text(data string) Packet {
	return Framed(append(make([]byte, Headroom, Headroom+len(data)), data...))
}

// Binary is a message of bytes, which are copied.
func Binary(data []byte) Packet {
	b := make([]byte, 0, ws.MaxHeader+len(data))
	b = ws.AppendHeader(b, ws.Binary, len(data))
	return Packet{frame: append(b, data...), head: ws.HeaderLen(len(data)), binary: true}
}

// Headroom is what Framed needs free in front of the text.
const Headroom = ws.MaxHeader + 1

// Framed is the message b[Headroom:], without copying it: b is the packet's.
func Framed(b []byte) Packet {
	n := len(b) - ws.MaxHeader // with the type
	head := ws.HeaderLen(n)
	from := ws.MaxHeader - head
	ws.AppendHeader(b[from:from:ws.MaxHeader], ws.Text, n)
	b[ws.MaxHeader] = typeMessage
	return Packet{frame: b[from:], head: head}
}

// control makes a packet of any type.
func control(typ byte, data string) Packet {
	b := ws.AppendHeader(make([]byte, 0, ws.MaxHeader+1+len(data)), ws.Text, 1+len(data))
	head := len(b)
	return Packet{frame: append(append(b, typ), data...), head: head}
}

// What every session sends.
var (
	pingPacket  = control(typePing, "")
	closePacket = control(typeClose, "")
	noopPacket  = control(typeNoop, "")
	probeAnswer = control(typePong, "probe")
)

// Len is the size in bytes that the packet has in a session's queue.
func (p Packet) Len() int { return len(p.frame) }

// appendPayload encodes packets for a poll.
func appendPayload(b []byte, packets []Packet) []byte {
	for i, p := range packets {
		if i > 0 {
			b = append(b, separator)
		}
		if p.binary {
			b = base64.StdEncoding.AppendEncode(append(b, typeBinary), p.frame[p.head:])
		} else {
			b = append(b, p.frame[p.head:]...)
		}
	}
	return b
}

func payloadLen(packets []Packet) int {
	n := len(packets)
	for _, p := range packets {
		if p.binary {
			n += 1 + base64.StdEncoding.EncodedLen(len(p.frame)-p.head)
		} else {
			n += len(p.frame) - p.head
		}
	}
	return n
}

// received is a packet from the client.
type received struct {
	typ    byte
	data   []byte // without the type
	binary bool   // typ is typeMessage
}

var errPacket = errors.New("invalid packet")

// parsePacket parses a text packet. The data is part of b.
func parsePacket(b []byte) (received, error) {
	if len(b) == 0 || b[0] < typeOpen || b[0] > typeNoop {
		return received{}, errPacket
	}
	return received{typ: b[0], data: b[1:]}, nil
}

// eachPacket calls f with the packets of a payload until it returns false.
func eachPacket(payload []byte, f func(received) bool) error {
	if !utf8.Valid(payload) {
		return errPacket
	}
	for more := true; more; {
		var b []byte
		b, payload, more = bytes.Cut(payload, []byte{separator})
		var p received
		var err error
		if len(b) > 0 && b[0] == typeBinary {
			p = received{typ: typeMessage, binary: true}
			p.data, err = base64.StdEncoding.AppendDecode(nil, b[1:])
		} else {
			p, err = parsePacket(b)
		}
		if err != nil {
			return errPacket
		}
		if !f(p) {
			return nil
		}
	}
	return nil
}

// Payload is the message's data, and whether it is binary. The data is shared.
func (p Packet) Payload() (data []byte, binary bool) {
	if p.binary {
		return p.frame[p.head:], true
	}
	return p.frame[p.head+1:], false
}

// MarshalText encodes the packet as polling would; UnmarshalText reads that.
func (p Packet) MarshalText() ([]byte, error) { return appendPayload(nil, []Packet{p}), nil }

func (p *Packet) UnmarshalText(b []byte) error {
	return eachPacket(b, func(r received) bool {
		if r.binary {
			*p = Binary(r.data)
		} else {
			*p = control(r.typ, string(r.data))
		}
		return true
	})
}
