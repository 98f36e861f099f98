package engines

import (
	"encoding/json"
	"io"
	"net/http"
)

// MaxPayload bounds a request's body, in bytes; the handshake tells it.
const MaxPayload = 1_000_000

// Refuse answers a request as Engine.IO does: {"code":…,"message":"…"}.
func Refuse(rw http.ResponseWriter, r *http.Request, status, code int, message string) {
	DrainBody(r)
	writeError(rw, status, code, message)
}

// Refusal is a handler that refuses.
func Refusal(status, code int, message string) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		Refuse(rw, r, status, code, message)
	})
}

// DrainBody reads what comes with a request that is refused: where the client
// (or a proxy, as nginx by default) asks to close the connection, net/http would
// reset it under the body, and the answer may be lost.
func DrainBody(r *http.Request) {
	if r.ContentLength > 0 && r.ContentLength <= MaxPayload {
		_, _ = io.CopyN(io.Discard, r.Body, r.ContentLength)
	}
}

func writeError(rw http.ResponseWriter, status, code int, message string) {
	b, _ := json.Marshal(struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}{code, message})
	rw.Header().Set("Content-Type", "application/json")
	rw.Header().Set("Cache-Control", "no-store")
	rw.WriteHeader(status)
	_, _ = rw.Write(b)
}
