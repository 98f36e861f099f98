// Package load is a small client of Engine.IO and Socket.IO that costs little,
// to measure what servers need.
package load

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// A Client is a connected client of the namespace "/".
type Client struct {
	addr string
	SID  string
	ws   net.Conn
	r    *bufio.Reader
	poll net.Conn // the connection that polled
	out  []byte
}

// Timeout bounds each step.
const Timeout = 10 * time.Second

// Upgrade connects in a browser's order: polling, with a poll under way when the
// WebSocket probes.
func Upgrade(addr string) (*Client, error) {
	c := &Client{addr: addr}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(Timeout))
	c.poll = conn
	r := bufio.NewReaderSize(conn, 1024)
	fail := func(step string, err error) (*Client, error) {
		c.Close()
		return nil, fmt.Errorf("%s: %w", step, err)
	}
	body, err := c.request(conn, r, "GET", "", "")
	if err != nil {
		return fail("open", err)
	}
	_, rest, ok := strings.Cut(body, `"sid":"`)
	if !ok {
		return fail("open", errors.New(body))
	}
	c.SID, _, _ = strings.Cut(rest, `"`)
	if body, err = c.request(conn, r, "POST", c.SID, "40"); err != nil || body != "ok" {
		return fail("post", fmt.Errorf("%q %w", body, err))
	}
	if body, err = c.request(conn, r, "GET", c.SID, ""); err != nil || !strings.HasPrefix(body, "40{") {
		return fail("poll", fmt.Errorf("%q %w", body, err))
	}
	if err := c.send(conn, "GET", c.SID, ""); err != nil {
		return fail("second poll", err)
	}
	if err := c.dial(c.SID); err != nil {
		return fail("websocket", err)
	}
	if err := c.Write("2probe"); err != nil {
		return fail("probe", err)
	}
	if m, err := c.Read(); err != nil || string(m) != "3probe" {
		return fail("probe", fmt.Errorf("%q %w", m, err))
	}
	if body, err = receive(r); err != nil || body != "6" && !strings.HasPrefix(body, "4") {
		return fail("noop", fmt.Errorf("%q %w", body, err))
	}
	if err := c.Write("5"); err != nil {
		return fail("upgrade", err)
	}
	_ = c.ws.SetDeadline(time.Time{})
	return c, nil
}

// Dial connects with WebSocket alone.
func Dial(addr string) (*Client, error) {
	c := &Client{addr: addr}
	if err := c.dial(""); err != nil {
		c.Close()
		return nil, err
	}
	m, err := c.Read()
	if err == nil {
		err = c.Write("40")
	}
	if err == nil {
		m, err = c.Read()
	}
	if err == nil && !bytes.HasPrefix(m, []byte("40{")) {
		err = fmt.Errorf("instead of CONNECT: %q", m)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	_ = c.ws.SetDeadline(time.Time{})
	return c, nil
}

func (c *Client) request(conn net.Conn, r *bufio.Reader, method, sid, body string) (string, error) {
	if err := c.send(conn, method, sid, body); err != nil {
		return "", err
	}
	return receive(r)
}

// What a browser sends along.
const headers = "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\nAccept: */*\r\n" +
	"Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-US,en;q=0.9\r\n"

func (c *Client) send(conn net.Conn, method, sid, body string) error {
	b := append(c.out[:0], method...)
	b = append(b, " /socket.io/?EIO=4&transport=polling&t=abc"...)
	if sid != "" {
		b = append(append(b, "&sid="...), sid...)
	}
	b = append(b, " HTTP/1.1\r\nHost: localhost\r\n"+headers...)
	if method == "POST" {
		b = append(b, "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: "...)
		b = append(strconv.AppendInt(b, int64(len(body)), 10), "\r\n"...)
	}
	b = append(append(b, "\r\n"...), body...)
	c.out = b
	_, err := conn.Write(b)
	return err
}

func receive(r *bufio.Reader) (string, error) {
	n := 0
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return "", err
		}
		if first && !bytes.Contains(line, []byte(" 200 ")) {
			return "", fmt.Errorf("answer %q", line)
		}
		if len(line) <= 2 {
			break
		}
		if k, v, _ := bytes.Cut(line, []byte{':'}); bytes.EqualFold(k, []byte("Content-Length")) {
			if n, err = strconv.Atoi(string(bytes.TrimSpace(v))); err != nil {
				return "", err
			}
		}
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return string(b), err
}

func (c *Client) dial(sid string) error {
	conn, err := net.Dial("tcp", c.addr)
	if err != nil {
		return err
	}
	_ = conn.SetDeadline(time.Now().Add(Timeout))
	c.ws, c.r = conn, bufio.NewReaderSize(conn, 1024)
	b := append(c.out[:0], "GET /socket.io/?EIO=4&transport=websocket"...)
	if sid != "" {
		b = append(append(b, "&sid="...), sid...)
	}
	b = append(b, " HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"+headers+"\r\n"...)
	c.out = b
	if _, err := conn.Write(b); err != nil {
		return err
	}
	for first := true; ; first = false {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && !bytes.Contains(line, []byte(" 101 ")) {
			return fmt.Errorf("answer %q", line)
		}
		if len(line) <= 2 {
			return nil
		}
	}
}

// Write sends a text frame, masked with zeros.
func (c *Client) Write(s string) error {
	b := append(c.out[:0], 0x81)
	if len(s) < 126 {
		b = append(b, 0x80|byte(len(s)))
	} else {
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(len(s)))
	}
	b = append(append(b, 0, 0, 0, 0), s...)
	c.out = b
	_, err := c.ws.Write(b)
	return err
}

// Read returns the next message, answering pings on the way.
func (c *Client) Read() ([]byte, error) {
	for {
		h, err := c.r.Peek(2)
		if err != nil {
			return nil, err
		}
		op, n, skip := h[0]&0xf, int(h[1]&0x7f), 2
		switch n {
		case 126:
			if h, err = c.r.Peek(4); err != nil {
				return nil, err
			}
			n, skip = int(binary.BigEndian.Uint16(h[2:])), 4
		case 127:
			if h, err = c.r.Peek(10); err != nil {
				return nil, err
			}
			n, skip = int(binary.BigEndian.Uint64(h[2:])), 10
		}
		_, _ = c.r.Discard(skip)
		b := make([]byte, n)
		if _, err := io.ReadFull(c.r, b); err != nil {
			return nil, err
		}
		switch {
		case op == 8:
			return b, fmt.Errorf("closed with %x", b)
		case n == 1 && b[0] == '2':
			if err := c.Write("3"); err != nil {
				return nil, err
			}
			continue
		}
		return b, nil
	}
}

// NetConn is the WebSocket's connection.
func (c *Client) NetConn() net.Conn { return c.ws }

// ClosePoll closes the connection that polled.
func (c *Client) ClosePoll() {
	if c.poll != nil {
		_ = c.poll.Close()
	}
}

// Close closes the connections.
func (c *Client) Close() {
	c.ClosePoll()
	if c.ws != nil {
		_ = c.ws.Close()
	}
}

// WriteBinary sends a binary frame of less than 126 bytes.
func (c *Client) WriteBinary(p []byte) error {
	_, err := c.ws.Write(append([]byte{0x82, 0x80 | byte(len(p)), 0, 0, 0, 0}, p...))
	return err
}
