package session

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
)

// Tagging returns a writer that puts name in front of the sid in the answer to
// a polling handshake, `0{…,"sid":"…",…}`, and reports the tagged sid to found.
// Anything else passes unchanged. The Engine.IO library has no hook for the
// sid it generates, hence here.
func Tagging(w http.ResponseWriter, name string, found func(sid string)) http.ResponseWriter {
	return &tagging{ResponseWriter: w, name: name, found: found}
}

type tagging struct {
	http.ResponseWriter
	name   string
	found  func(string)
	status int
	wrote  bool
}

// field stands before the sid, which holds no quotes. The library writes the
// answer in one piece, and nothing in it that a client chose.
var field = []byte(`"sid":"`)

// WriteHeader waits for the body, whose length may change.
func (t *tagging) WriteHeader(status int) {
	if t.status == 0 {
		t.status = status
	}
}

func (t *tagging) Write(b []byte) (int, error) {
	if !t.wrote {
		t.wrote = true
		out := t.rewrite(b)
		if len(out) != len(b) && t.Header().Get("Content-Length") != "" {
			t.Header().Set("Content-Length", strconv.Itoa(len(out)))
		}
		if t.status != 0 {
			t.ResponseWriter.WriteHeader(t.status)
		}
		if _, err := t.ResponseWriter.Write(out); err != nil {
			return 0, err
		}
		return len(b), nil
	}
	return t.ResponseWriter.Write(b)
}

func (t *tagging) rewrite(b []byte) []byte {
	head, rest, ok := bytes.Cut(b, field)
	if !ok || !bytes.HasPrefix(head, []byte("0{")) {
		return b
	}
	sid, _, ok := bytes.Cut(rest, []byte{'"'})
	if !ok {
		return b
	}
	tagged := Tag(t.name, string(sid))
	t.found(tagged)
	return slices.Concat(head, field, []byte(tagged), rest[len(sid):])
}

// Flush sends the status of an answer without a body, or what is buffered.
func (t *tagging) Flush() {
	if !t.wrote && t.status != 0 {
		t.wrote = true
		t.ResponseWriter.WriteHeader(t.status)
	}
	_ = http.NewResponseController(t.ResponseWriter).Flush()
}

// Finish sends the status of an answer that had no body.
func Finish(w http.ResponseWriter) {
	if t, ok := w.(*tagging); ok && !t.wrote && t.status != 0 {
		t.wrote = true
		t.ResponseWriter.WriteHeader(t.status)
	}
}

// Unwrap is for http.ResponseController.
func (t *tagging) Unwrap() http.ResponseWriter { return t.ResponseWriter }
