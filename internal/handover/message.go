// Package handover moves an HTTP/1 connection, with the request that has just
// arrived on it, to another process of this host: the descriptor over a unix
// socket, and beside it what was read from it already. Whoever receives it
// serves it from there on; nothing is left with the sender.
package handover

import (
	"encoding/binary"
	"errors"
	"net/http"
	"strings"
)

// A Message is what goes with a connection.
type Message struct {
	Via    int    // slot of the sender
	Peer   string // host:port of the connection's other end; empty: as the socket says
	Client string // host:port of the client of the first request
	Read   []byte // the first request's head, and what was read after it
}

// version is that of the format: other builds of this program may speak another.
const version = 1

// MaxSize bounds a message, in bytes. net/http takes heads of up to 36 KiB
// from us, and reads 4 KiB ahead.
const MaxSize = 64 << 10

// Append appends m as it is sent: version, via, the two addresses, each after its
// length, and the rest. Numbers are unsigned varints.
func (m Message) Append(b []byte) []byte {
	b = append(b, version)
	b = binary.AppendUvarint(b, uint64(m.Via))
	for _, s := range []string{m.Peer, m.Client} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return append(b, m.Read...)
}

var errMessage = errors.New("handover: not a message of this version")

// Parse reads what Append wrote. Read refers to b.
func Parse(b []byte) (m Message, err error) {
	if len(b) == 0 || b[0] != version || len(b) > MaxSize {
		return m, errMessage
	}
	b = b[1:]
	number := func(limit int) int {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(limit) {
			err = errMessage
			return 0
		}
		b = b[size:]
		return int(n)
	}
	text := func() string {
		n := number(len(b))
		if err != nil || n > len(b) {
			err = errMessage
			return ""
		}
		s := string(b[:n])
		b = b[n:]
		return s
	}
	m.Via = number(1 << 30)
	m.Peer, m.Client = text(), text()
	m.Read = b
	if err != nil {
		return Message{}, err
	}
	return m, nil
}

// appendHead appends the head of an HTTP/1 request that package net/http has
// read, with what it keeps outside of the Header put back.
func appendHead(b []byte, r *http.Request) []byte {
	b = append(b, r.Method...)
	b = append(b, ' ')
	b = append(b, r.RequestURI...)
	b = append(b, ' ')
	b = append(b, r.Proto...)
	b = append(b, "\r\n"...)
	if r.Host != "" || r.ProtoAtLeast(1, 1) {
		b = appendField(b, "Host", r.Host)
	}
	for k, vs := range r.Header {
		for _, v := range vs {
			b = appendField(b, k, v)
		}
	}
	if len(r.TransferEncoding) > 0 {
		b = appendField(b, "Transfer-Encoding", strings.Join(r.TransferEncoding, ", "))
	}
	for k := range r.Trailer {
		b = appendField(b, "Trailer", k)
	}
	return append(b, "\r\n"...)
}

func appendField(b []byte, k, v string) []byte {
	b = append(b, k...)
	b = append(b, ": "...)
	b = append(b, v...)
	return append(b, "\r\n"...)
}
