package engine

import (
	"net/http"
	"net/url"
	"time"
)

// State is all that makes up a session, apart from the goroutine that reads for
// it and the connection it reads from: a plain value, which JSON can carry.
type State struct {
	SID       string
	Transport string // Polling or WebSocket
	Status    Status
	Handshake Handshake

	// Queue holds the packets that were not written yet, of Queued bytes.
	Queue  []Packet
	Queued int

	// The heartbeat: a ping is due at PingDue or, while Waiting for the answer
	// to one, the pong at PongDue, which any packet moves once (Extended).
	PingDue, PongDue  time.Time
	Waiting, Extended bool
}

// Status of a session.
type Status uint8

const (
	Open Status = iota
	// Closing sessions take nothing more. They are kept for the poll that will
	// fetch what is queued, and the close packet.
	Closing
	Closed
)

// A Handshake is the request that began a session, as far as it is kept.
type Handshake struct {
	Time       time.Time
	RemoteAddr string
	Host       string
	URL        *url.URL
	Header     http.Header
	TLS        bool
}

// Query parses the parameters of the request.
func (h *Handshake) Query() url.Values { return h.URL.Query() }
