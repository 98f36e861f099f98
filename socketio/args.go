package socketio

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Args are the arguments of an event or of an acknowledgement, as the client
// sent them: JSON that is decoded when asked for, and attachments.
type Args struct {
	raw  []json.RawMessage
	bins [][]byte
	tree []any // of arguments with attachments, decoded
}

// MakeArgs makes Args of values, as if a client had sent them: for adapters.
func MakeArgs(values ...any) Args {
	var a Args
	for _, v := range values {
		d, bins := deconstruct(v, a.bins)
		b, err := appendJSON(nil, d)
		if err != nil {
			b = []byte("null")
		}
		a.raw, a.bins = append(a.raw, b), bins
	}
	if len(a.bins) > 0 {
		_ = a.attach()
	}
	return a
}

// attach decodes arguments that have attachments.
func (a *Args) attach() error {
	tree := make([]any, len(a.raw))
	for i, raw := range a.raw {
		v, err := reconstruct(decodeAny(raw), a.bins)
		if err != nil {
			return err
		}
		tree[i] = v
	}
	a.tree = tree
	return nil
}

// Len is the number of arguments.
func (a Args) Len() int { return len(a.raw) }

// Raw is argument i as JSON, with placeholders for attachments; null if there
// is none.
func (a Args) Raw(i int) json.RawMessage {
	if i < 0 || i >= len(a.raw) {
		return json.RawMessage("null")
	}
	return a.raw[i]
}

// Any is argument i as encoding/json decodes it, with attachments as []byte;
// nil if there is none, and for numbers too large for a float64.
func (a Args) Any(i int) any {
	if i < 0 || i >= len(a.raw) {
		return nil
	}
	if a.tree != nil {
		return a.tree[i]
	}
	return decodeAny(a.raw[i])
}

// All are all arguments, each as Any returns it.
func (a Args) All() []any {
	out := make([]any, len(a.raw))
	for i := range out {
		out[i] = a.Any(i)
	}
	return out
}

// String is the arguments as JSON, for logs.
func (a Args) String() string {
	var b strings.Builder
	for i, r := range a.raw {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(r)
	}
	return "[" + b.String() + "]"
}

// ErrMissing is returned by Bind when there are fewer arguments than wanted.
var ErrMissing = errors.New("socketio: missing argument")

// Bind decodes the arguments, one after the other, into what the pointers point
// to, as json.Unmarshal would; attachments go into fields of type []byte.
func (a Args) Bind(into ...any) error {
	for i, p := range into {
		if i >= len(a.raw) {
			return fmt.Errorf("%w %d", ErrMissing, i+1)
		}
		if err := a.bind(i, p); err != nil {
			return fmt.Errorf("argument %d: %w", i+1, err)
		}
	}
	return nil
}

func (a Args) bind(i int, p any) error {
	switch p := p.(type) {
	case *any:
		*p = a.Any(i)
		return nil
	case *json.RawMessage:
		*p = a.Raw(i)
		return nil
	case *[]byte:
		if b, ok := a.Any(i).([]byte); ok {
			*p = b
			return nil
		}
	}
	raw := a.raw[i]
	if a.tree != nil {
		var err error // attachments become base64, which decodes into []byte
		if raw, err = json.Marshal(a.tree[i]); err != nil {
			return err
		}
	}
	return json.Unmarshal(raw, p)
}
