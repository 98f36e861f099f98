package engine

import (
	"io"
	"net/http"
	"time"
)

// closer returns what tells the trace that a WebSocket has ended.
func closer(tell func(Outcome), o *Outcome) func(c *socketConn) {
	if tell == nil {
		return func(*socketConn) {}
	}
	began, sid := o.Began, o.SID
	return func(c *socketConn) {
		tell(Outcome{
			Step: StepClose, Transport: WebSocket, SID: sid, Status: http.StatusSwitchingProtocols,
			Began: began, Took: time.Since(began), Sent: c.Sent(), Received: c.Received(),
		})
	}
}

type countingWriter struct {
	http.ResponseWriter
	status int
	n      int64
}

func (w *countingWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *countingWriter) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b)
	w.n += int64(n)
	return n, err
}

func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

type countingBody struct {
	io.ReadCloser
	n int64
}

func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	return n, err
}
