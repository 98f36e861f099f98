package strategies

import (
	"bufio"
	"bytes"
	"errors"
	"net/netip"
	"net/textproto"
)

// Unwrap looks past the PROXY protocol's header at the head of a connection (see
// [PeekFunc]) from peer: rest is what the client itself has sent. From who is
// not trusted that is all of it. ok is false while the header is not complete.
func (ps Proxies) Unwrap(peer netip.Addr, head []byte) (client netip.Addr, rest []byte, ok bool) {
	if !ps.Contain(peer) {
		return peer, head, true
	}
	src, n, err := ParsePROXY(head)
	if src.IsValid() {
		peer = src.Addr()
	}
	return peer, head[n:], !errors.Is(err, ErrShortPROXY)
}

// Look tells whose connection it is that peer has opened, by the PROXY protocol
// or by the first request's headers, as the worker will find it. ok is false
// while head does not tell yet. In TLS no header can be read.
func (ps Proxies) Look(peer netip.Addr, head []byte) (client netip.Addr, ok bool) {
	client, rest, ok := ps.Unwrap(peer, head)
	if !ok || !ps.Contain(client) {
		return client, ok
	}
	if len(rest) > 0 && rest[0] == recordTLS {
		return client, true
	}
	if !bytes.Contains(rest, []byte("\n\r\n")) && !bytes.Contains(rest, []byte("\n\n")) {
		return client, false
	}
	r := textproto.NewReader(bufio.NewReader(bytes.NewReader(rest)))
	_, err := r.ReadLine()
	header, herr := r.ReadMIMEHeader()
	if err == nil && herr == nil { // else the worker will not take it
		client, _ = ps.Client(client, map[string][]string(header))
	}
	return client, true
}

// recordTLS is what a connection that speaks TLS begins with: a handshake's record.
const recordTLS = 0x16
