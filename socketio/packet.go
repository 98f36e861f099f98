package socketio

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strconv"

	"github.com/samedoor/samedoor/socketio/engine"
)

// Types of packets, as they stand on the wire.
const (
	typeConnect      = '0'
	typeDisconnect   = '1'
	typeEvent        = '2'
	typeAck          = '3'
	typeConnectError = '4'
	typeBinaryEvent  = '5'
	typeBinaryAck    = '6'
)

// noID is the id of packets that have none.
const noID = ^uint64(0)

// maxID is the largest integer that JavaScript knows exactly.
const maxID = 1<<53 - 1

// A packet from a client.
type packet struct {
	typ   byte
	nsp   string
	id    uint64
	event string
	args  Args
	auth  json.RawMessage // of typeConnect: an object, or nil

	missing int // attachments
}

var (
	errFormat   = errors.New("invalid packet format")
	errTooMany  = errors.New("too many attachments")
	errReserved = []string{"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)

// A decoder puts packets together from messages.
type decoder struct {
	pending *packet // waits for attachments
}

// add takes a message. It returns a packet when one is whole.
func (d *decoder) add(data []byte, binary bool, o *Options) (*packet, error) {
	p := d.pending
	if (p != nil) != binary {
		return nil, errFormat // text where attachments should come, or the reverse
	}
	if binary {
		p.args.bins = append(p.args.bins, data)
		if p.missing--; p.missing > 0 {
			return nil, nil
		}
		d.pending = nil
		return p, p.args.attach()
	}
	p, err := parse(data, o)
	if err == nil && p.missing > 0 {
		d.pending = p
		return nil, nil
	}
	return p, err
}

// parse parses a packet's text: type, attachments-, /namespace, id, JSON.
func parse(b []byte, o *Options) (*packet, error) {
	if len(b) == 0 || b[0] < typeConnect || b[0] > typeBinaryAck {
		return nil, errFormat
	}
	p := &packet{typ: b[0], nsp: "/", id: noID}
	b = b[1:]
	if p.typ >= typeBinaryEvent {
		n, rest, err := number(b)
		if err != nil || n < 1 || len(rest) == 0 || rest[0] != '-' {
			return nil, errAttachment
		}
		if n > uint64(o.MaxAttachments) {
			return nil, errTooMany
		}
		p.missing, b = int(n), rest[1:]
		p.typ -= typeBinaryEvent - typeEvent
	}
	if len(b) > 0 && b[0] == '/' {
		name, rest, _ := bytes.Cut(b, []byte{','})
		p.nsp, b = string(name), rest
	}
	if len(b) > 0 && b[0] >= '0' && b[0] <= '9' {
		var err error
		if p.id, b, err = number(b); err != nil {
			return nil, err
		}
	}
	return p, p.payload(b, o)
}

func (p *packet) payload(b []byte, o *Options) error {
	switch p.typ {
	case typeConnect:
		if len(b) > 0 {
			if !isObject(b, o.MaxDepth) {
				return errFormat
			}
			p.auth = b
		}
		return nil
	case typeDisconnect:
		if len(b) > 0 {
			return errFormat
		}
		return nil
	case typeConnectError: // the server's to send
		return errFormat
	}
	args, ok := elements(b, o.MaxDepth)
	if !ok {
		return errFormat
	}
	if p.typ == typeAck {
		p.args.raw = args
		if p.id == noID {
			return errFormat
		}
		return nil
	}
	if len(args) == 0 {
		return errFormat
	}
	switch c := args[0][0]; {
	case c == '"':
		p.event = unquote(args[0])
	case c == '-' || c >= '0' && c <= '9':
		p.event = string(args[0])
	default:
		return errFormat
	}
	if slices.Contains(errReserved, p.event) {
		return errFormat
	}
	p.args.raw = args[1:]
	return nil
}

func number(b []byte) (n uint64, rest []byte, err error) {
	i := 0
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		if n = n*10 + uint64(b[i]-'0'); n > maxID {
			return 0, nil, errFormat
		}
		i++
	}
	if i == 0 {
		return 0, nil, errFormat
	}
	return n, b[i:], nil
}

// encode makes the packets of an event or acknowledgement: the text, and its
// attachments. head is the event's name, or nil.
func encode(typ byte, nsp string, id uint64, head *string, args []any) ([]engine.Packet, error) {
	var bins [][]byte
	copied := false
	for i, a := range args {
		d, more := deconstruct(a, bins)
		if len(more) > len(bins) {
			if !copied {
				args, copied = slices.Clone(args), true // the caller's stay as they are
			}
			args[i] = d
		}
		bins = more
	}
	b := make([]byte, engine.Headroom, engine.Headroom+96)
	if len(bins) > 0 {
		b = append(b, typ+typeBinaryEvent-typeEvent)
		b = append(strconv.AppendInt(b, int64(len(bins)), 10), '-')
	} else {
		b = append(b, typ)
	}
	b = appendNamespace(b, nsp)
	if id != noID {
		b = strconv.AppendUint(b, id, 10)
	}
	var err error
	if head != nil {
		if b, err = appendJSON(append(b, '['), *head); err != nil {
			return nil, err
		}
		for _, a := range args {
			if b, err = appendJSON(append(b, ','), a); err != nil {
				return nil, err
			}
		}
		b = append(b, ']')
	} else if b, err = appendArray(b, args, maxEncodeDepth); err != nil {
		return nil, err
	}
	out := make([]engine.Packet, 1, 1+len(bins))
	out[0] = engine.Framed(b)
	for _, bin := range bins {
		out = append(out, engine.Binary(bin))
	}
	return out, nil
}

func appendNamespace(b []byte, nsp string) []byte {
	if nsp == "/" {
		return b
	}
	return append(append(b, nsp...), ',')
}

// control makes a packet whose payload is an object, or nothing.
func control(typ byte, nsp string, payload any) engine.Packet {
	b := make([]byte, engine.Headroom, engine.Headroom+64)
	b = appendNamespace(append(b, typ), nsp)
	if payload != nil {
		with, err := appendJSON(b, payload)
		if err != nil { // of an error's data: what can't be encoded is left out
			with = append(b, `{"message":"error"}`...)
		}
		b = with
	}
	return engine.Framed(b)
}
