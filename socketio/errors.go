package socketio

import (
	"errors"

	"github.com/samedoor/samedoor/socketio/engine"
)

// An Error is an error for a client: what a middleware refuses with, if the
// client should be told more than a text. It arrives as connect_error.
type Error struct {
	Message string `json:"message"`
	Data    any    `json:"data,omitempty"`
}

func (e *Error) Error() string { return e.Message }

func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Message: err.Error()}
}

// Errors.
var (
	ErrDisconnected = errors.New("socketio: the socket is disconnected")
	ErrTimeout      = errors.New("socketio: operation has timed out")
	ErrReserved     = errors.New("socketio: reserved event name")
	ErrNotSupported = errors.New("socketio: not supported by the adapter")
	ErrNoAck        = errors.New("socketio: the client wants no acknowledgement, or has got it")
)

// Reasons of disconnections.
const (
	ReasonClientDisconnect = "client namespace disconnect" // the client called disconnect
	ReasonServerDisconnect = "server namespace disconnect" // Disconnect(false)
	ReasonServerClose      = "forced server close"         // Disconnect(true)
	ReasonShutdown         = engine.ReasonShutdown
	ReasonPingTimeout      = engine.ReasonPingTimeout
	ReasonTransportClose   = engine.ReasonTransportClose
	ReasonTransportError   = engine.ReasonTransportError
	ReasonParseError       = engine.ReasonParseError
	ReasonOverflow         = engine.ReasonOverflow
)
