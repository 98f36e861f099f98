package ws

import (
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Why Check refuses.
var (
	ErrNotUpgrade = errors.New("websocket: the request asks for no upgrade")
	ErrVersion    = errors.New("websocket: Sec-WebSocket-Version is not 13")
	ErrKey        = errors.New("websocket: Sec-WebSocket-Key is not 16 bytes in base64")
)

// Asks says whether r wants to become a WebSocket.
func Asks(r *http.Request) bool {
	return hasToken(r.Header["Connection"], "upgrade") && hasToken(r.Header["Upgrade"], "websocket")
}

// Check says what is wrong with a handshake.
func Check(r *http.Request) error {
	if r.Method != http.MethodGet || r.ProtoMajor != 1 || !Asks(r) {
		return ErrNotUpgrade
	}
	if v := r.Header["Sec-Websocket-Version"]; len(v) != 1 || v[0] != "13" {
		return ErrVersion
	}
	k := r.Header["Sec-Websocket-Key"]
	if len(k) != 1 {
		return ErrKey
	}
	if b, err := base64.StdEncoding.DecodeString(k[0]); err != nil || len(b) != 16 {
		return ErrKey
	}
	return nil
}

// acceptTime is how long a client may take to let the answer to its handshake be
// written, behind answers that it has not read yet.
const acceptTime = 10 * time.Second

// Accept answers a handshake that Check let pass with 101 and w's headers.
// The connection is the caller's from then on: w and r may be left. Messages of
// more than maxMessage bytes are refused.
func Accept(w http.ResponseWriter, r *http.Request, maxMessage int) (*Conn, error) {
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	_ = nc.SetDeadline(time.Now().Add(acceptTime)) // the HTTP server's are not for us
	b := make([]byte, 0, 512)
	b = append(b, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	b = appendAccept(b, r.Header["Sec-Websocket-Key"][0])
	for k, vs := range w.Header() {
		if slices.Contains(ours, k) {
			continue
		}
		for _, v := range vs {
			b = append(b, "\r\n"...)
			b = append(b, clean.Replace(k)...)
			b = append(b, ": "...)
			b = append(b, clean.Replace(v)...)
		}
	}
	b = append(b, "\r\n\r\n"...)
	if _, err := nc.Write(b); err != nil {
		_ = nc.Close()
		return nil, err
	}
	_ = nc.SetDeadline(time.Time{})
	// The HTTP server's buffers are left to the collector: a few KiB per
	// connection that would lie idle.
	read, _ := rw.Reader.Peek(rw.Reader.Buffered())
	return newConn(nc, read, maxMessage), nil
}

var (
	ours  = []string{"Upgrade", "Connection", "Sec-Websocket-Accept", "Content-Length", "Transfer-Encoding"}
	clean = strings.NewReplacer("\r", "", "\n", "")
)

func appendAccept(b []byte, key string) []byte {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.AppendEncode(b, sum[:])
}

func hasToken(values []string, token string) bool {
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}
