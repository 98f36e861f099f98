package engine

import (
	"encoding/json"
	"errors"
	"net/http"
)

// Codes of the protocol's errors.
const (
	CodeUnknownTransport   = 0
	CodeUnknownSID         = 1
	CodeBadHandshakeMethod = 2
	CodeBadRequest         = 3
	CodeForbidden          = 4
	CodeUnsupportedVersion = 5
)

var messages = [...]string{
	"Transport unknown", "Session ID unknown", "Bad handshake method",
	"Bad request", "Forbidden", "Unsupported protocol version",
}

// A ConnectionError is why a request was refused. The client is told code and
// message as {"code":1,"message":"Session ID unknown"}.
type ConnectionError struct {
	Request *http.Request
	Code    int
	Message string
	Status  int    // of the answer: 400, 403 or 413
	Context string // more precisely, e.g. TRANSPORT_MISMATCH
	Cause   error  // if an error was it
}

func (e *ConnectionError) Error() string {
	if e.Context != "" {
		return e.Message + " (" + e.Context + ")"
	}
	return e.Message
}

func (e *ConnectionError) Unwrap() error { return e.Cause }

func refusal(r *http.Request, code int, context string) *ConnectionError {
	e := &ConnectionError{Request: r, Code: code, Message: messages[code], Status: http.StatusBadRequest, Context: context}
	if code == CodeForbidden {
		e.Status = http.StatusForbidden
	}
	return e
}

func (e *ConnectionError) body() []byte {
	b, _ := json.Marshal(struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}{e.Code, e.Message})
	return b
}

// Errors of a Session's methods.
var (
	ErrClosed   = errors.New("engine: the session is closed")
	ErrOverflow = errors.New("engine: the client reads too slowly")
)

// Reasons why sessions end, as Socket.IO names them.
const (
	ReasonTransportClose = "transport close" // the client went, or its connection did
	ReasonTransportError = "transport error"
	ReasonPingTimeout    = "ping timeout"
	ReasonParseError     = "parse error"
	ReasonForcedClose    = "forced close"         // by Session.Close
	ReasonShutdown       = "server shutting down" // by Server.Close
	ReasonOverflow       = "send queue overflow"  // a slow reader
)
