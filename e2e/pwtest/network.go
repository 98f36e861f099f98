package pwtest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
)

// A Network lies between one browser context and the servers: what the context
// sends comes from a source address of its own, and it can be cut, as no
// setting of the browser can (its "offline" leaves open WebSockets open).
//
// It is a SOCKS proxy, so that the browser's connections stay what they are:
// one here is one there, and the page keeps the server's own URL.
type Network struct {
	server string // for the browser
	dialer net.Dialer

	mu     sync.Mutex
	down   bool
	plain  bool // no WebSockets
	open   map[net.Conn]bool
	dialed []string
}

// NewNetwork returns one whose connections come from source, such as
// 127.0.7.7; from any address if that is empty.
func NewNetwork(t testing.TB, source string) *Network {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &Network{server: "socks5://" + l.Addr().String(), open: map[net.Conn]bool{}}
	if source != "" {
		n.dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(source)}
	}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			done.Go(func() { n.carry(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		n.Down()
		done.Wait()
	})
	return n
}

// Cut drops all connections, as a lost network does. New ones are let through.
func (n *Network) Cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.open {
		c.Close()
	}
}

// Down drops all connections, and refuses new ones until Up.
func (n *Network) Down() { n.set(true); n.Cut() }
func (n *Network) Up()   { n.set(false) }

func (n *Network) set(down bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = down
}

// NoUpgrade drops each WebSocket before its handshake leaves the browser, as a
// proxy does that knows none.
func (n *Network) NoUpgrade() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.plain = true
}

// upgrades tells whether a connection, by its first bytes, is to be dropped.
func (n *Network) upgrades(head []byte) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.plain && bytes.Contains(bytes.ToLower(head), []byte("\r\nupgrade: websocket\r\n"))
}

// Dialed lists each host:port that the browser asked for, once.
func (n *Network) Dialed() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.dialed)
}

// track notes an open connection; it refuses while the network is down.
func (n *Network) track(c net.Conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down {
		return false
	}
	n.open[c] = true
	return true
}

func (n *Network) forget(c net.Conn) {
	c.Close()
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.open, c)
}

func (n *Network) carry(c net.Conn) {
	defer n.forget(c)
	if !n.track(c) {
		return
	}
	target, err := greet(c)
	if err != nil {
		return
	}
	n.mu.Lock()
	if !slices.Contains(n.dialed, target) {
		n.dialed = append(n.dialed, target)
	}
	n.mu.Unlock()
	up, err := n.dialer.DialContext(context.Background(), "tcp", target)
	if err != nil {
		_, _ = c.Write(reply(5)) // connection refused
		return
	}
	defer n.forget(up)
	if !n.track(up) {
		return
	}
	if _, err := c.Write(reply(0)); err != nil {
		return
	}
	head := make([]byte, 16<<10)
	k, err := c.Read(head) // a browser speaks first, and sends a handshake in one piece
	if err != nil || n.upgrades(head[:k]) {
		return
	}
	if _, err := up.Write(head[:k]); err != nil {
		return
	}
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{up, c}, {c, up}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			if t, ok := way[0].(*net.TCPConn); ok {
				_ = t.CloseWrite()
			}
		})
	}
	both.Wait()
}

// greet speaks as much of SOCKS 5 (RFC 1928) as a browser does: no
// authentication, CONNECT. It returns host:port of what is asked for.
func greet(c net.Conn) (string, error) {
	b := make([]byte, 255+2)
	if _, err := io.ReadFull(c, b[:2]); err != nil { // version, number of methods
		return "", err
	}
	if _, err := io.ReadFull(c, b[:b[1]]); err != nil {
		return "", err
	}
	if _, err := c.Write([]byte{5, 0}); err != nil {
		return "", err
	}
	if _, err := io.ReadFull(c, b[:4]); err != nil { // version, command, reserved, kind of address
		return "", err
	}
	size := map[byte]int{1: net.IPv4len, 4: net.IPv6len}[b[3]]
	name := b[3] == 3
	if name {
		if _, err := io.ReadFull(c, b[:1]); err != nil {
			return "", err
		}
		size = int(b[0])
	}
	if size == 0 {
		return "", errors.New("unknown kind of address")
	}
	if _, err := io.ReadFull(c, b[:size+2]); err != nil {
		return "", err
	}
	host := net.IP(bytes.Clone(b[:size])).String()
	if name {
		host = string(b[:size])
	}
	return net.JoinHostPort(host, strconv.Itoa(int(binary.BigEndian.Uint16(b[size:])))), nil
}

// reply answers a CONNECT; clients ignore the address in it.
func reply(status byte) []byte { return []byte{5, status, 0, 1, 0, 0, 0, 0, 0, 0} }
