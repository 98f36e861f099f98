// Package logs is the one log stream of master and workers: each record is one
// line, written at once, and names the slot and process it came from.
package logs

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

// New returns a logger that writes to w, in format "text" or "json".
func New(w io.Writer, format string) *slog.Logger {
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, nil))
	}
	h := &text{out: w, mu: new(sync.Mutex), buf: new(bytes.Buffer)}
	h.attrs = slog.NewTextHandler(h.buf, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
			return slog.Attr{} // written in front, below
		}
		return a
	}})
	return slog.New(h)
}

// text writes `2026-01-31 09:05 Z INFO worker ready slot=2 pid=411`: the dates
// of the process manager in the article this project began with.
type text struct {
	out   io.Writer
	mu    *sync.Mutex // guards out and buf
	buf   *bytes.Buffer
	attrs slog.Handler // writes the attributes to buf
}

const stamp = "2006-01-02 15:04 Z07:00"

func (h *text) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

func (h *text) Handle(ctx context.Context, r slog.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.buf.Reset()
	at := r.Time
	if at.IsZero() {
		at = time.Now()
	}
	h.buf.WriteString(at.Format(stamp) + " " + r.Level.String() + " " + r.Message + " ")
	if err := h.attrs.Handle(ctx, r); err != nil {
		return err
	}
	line := bytes.TrimRight(h.buf.Bytes(), " \n")
	// A message may quote what a client or a child process said: one line stays one line.
	line = bytes.ReplaceAll(line, []byte("\n"), []byte(" | "))
	_, err := h.out.Write(append(line, '\n'))
	return err
}

func (h *text) WithAttrs(as []slog.Attr) slog.Handler {
	return &text{h.out, h.mu, h.buf, h.attrs.WithAttrs(as)}
}

func (h *text) WithGroup(name string) slog.Handler {
	return &text{h.out, h.mu, h.buf, h.attrs.WithGroup(name)}
}
