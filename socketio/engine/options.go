package engine

import (
	"log/slog"
	"net/http"
	"time"
)

// Options of a Server. The zero value of each field means its default.
type Options struct {
	PingInterval   time.Duration // between a pong and the next ping; 25 s
	PingTimeout    time.Duration // a session whose pong is later is closed; 20 s
	UpgradeTimeout time.Duration // for the client to finish an upgrade; 10 s

	// MaxPayload bounds, in bytes, a request's body and a WebSocket message;
	// 1,000,000. A client that sends more is answered 413, or closed with 1009.
	MaxPayload int
	// MaxQueue bounds, in bytes, what waits to be sent to one client; 8 MiB.
	// A client that reads too slowly is closed with ReasonOverflow.
	MaxQueue int

	// Transports that clients may use; both. A server without Polling has no
	// upgrades either.
	Transports []string
	// NoUpgrade keeps sessions that began with polling there.
	NoUpgrade bool

	// GenerateID returns the id of a new session: unique, hard to guess, and of
	// characters that a URL's query needs not escape. "" refuses the session.
	// The default is 20 random characters.
	GenerateID func(r *http.Request) string

	// AllowRequest says no to the first request of a session by an error, whose
	// text the client is told with code CodeForbidden. It is where to check the
	// Origin: like Node's server, this one lets every page connect.
	AllowRequest func(r *http.Request) error

	// InitialHeaders may add headers to the answer of a session's first request,
	// Headers to that of every request. Without a session sid is "".
	InitialHeaders func(h http.Header, r *http.Request, sid string)
	Headers        func(h http.Header, r *http.Request, sid string)

	// ConnectionError is told about requests that are refused.
	ConnectionError func(*ConnectionError)

	// Trace is called with every request. The function it returns, if any, is
	// called with what became of the request; for a WebSocket once when the
	// handshake was answered, and again when the connection has ended.
	Trace func(r *http.Request) func(Outcome)

	// OnSessions is called, from any goroutine, after a session has been added
	// or removed: Len has changed. It must return soon.
	OnSessions func()

	// Logger is told about panics of the program's functions; default: nobody.
	Logger *slog.Logger
}

// Names of the transports.
const (
	Polling   = "polling"
	WebSocket = "websocket"
)

// Steps of a session, in an Outcome.
const (
	StepOpen    = "open"    // the first request, of either transport
	StepPoll    = "poll"    // a GET that waits for packets
	StepPost    = "post"    // a POST that brings some
	StepUpgrade = "upgrade" // the WebSocket of a session that began with polling
	StepClose   = "close"   // the end of a WebSocket
)

// An Outcome is what became of a request.
type Outcome struct {
	Step      string
	Transport string // that the request asked for
	SID       string // of its session, "" if it got none
	Status    int    // of the answer, 101 for WebSockets; 0 if the client had gone
	Err       *ConnectionError
	Began     time.Time
	Took      time.Duration
	// Sent and Received count the bytes of the answer's and the request's body,
	// and at StepClose those of the WebSocket.
	Sent, Received int64
}

func (o Options) withDefaults() Options {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&o.PingInterval, 25*time.Second)
	def(&o.PingTimeout, 20*time.Second)
	def(&o.UpgradeTimeout, 10*time.Second)
	if o.MaxPayload <= 0 {
		o.MaxPayload = 1_000_000
	}
	if o.MaxQueue <= 0 {
		o.MaxQueue = 8 << 20
	}
	if o.Transports == nil {
		o.Transports = []string{Polling, WebSocket}
	}
	if o.GenerateID == nil {
		o.GenerateID = func(*http.Request) string { return NewID() }
	}
	if o.OnSessions == nil {
		o.OnSessions = func() {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}
