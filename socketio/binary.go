package socketio

import (
	"encoding"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"sync"
)

// Binary data travels beside an event's JSON: each []byte is an attachment, and
// a placeholder stands where it was.

type placeholder struct {
	Placeholder bool `json:"_placeholder"`
	Num         int  `json:"num"`
}

// deconstruct returns v with its attachments replaced, and bins with them added.
func deconstruct(v any, bins [][]byte) (any, [][]byte) {
	switch x := v.(type) {
	case nil, bool, string, int, int64, float64, json.RawMessage, json.Number:
		return v, bins
	case []byte:
		return placeholder{true, len(bins)}, append(bins, x)
	}
	if !carries(v, 0) {
		return v, bins
	}
	n := len(bins)
	out, bins := rebuild(reflect.ValueOf(v), bins, 0)
	if len(bins) == n {
		return v, bins
	}
	return out, bins
}

// carries says whether a value may hold a []byte, looking into what events
// usually carry, and at the type of anything else.
func carries(v any, depth int) bool {
	switch x := v.(type) {
	case nil, bool, string, int, int64, float64, json.RawMessage, json.Number:
		return false
	case []any:
		for _, e := range x {
			if depth > 100 || carries(e, depth+1) {
				return true
			}
		}
		return false
	case map[string]any:
		for _, e := range x {
			if depth > 100 || carries(e, depth+1) {
				return true
			}
		}
		return false
	}
	return holdsBytes(reflect.TypeOf(v))
}

var (
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
	holders       sync.Map // reflect.Type → bool
)

// holdsBytes says whether values of a type may hold a []byte.
func holdsBytes(t reflect.Type) bool {
	if h, ok := holders.Load(t); ok {
		return h.(bool)
	}
	h := findBytes(t, map[reflect.Type]bool{})
	holders.Store(t, h)
	return h
}

func findBytes(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map, reflect.Struct:
	default:
		return false
	}
	if t.Implements(jsonMarshaler) || t.Implements(textMarshaler) {
		return false
	}
	switch t.Kind() {
	case reflect.Slice:
		return t.Elem().Kind() == reflect.Uint8 || findBytes(t.Elem(), seen)
	case reflect.Struct:
		for f := range fields(t) {
			if findBytes(f.Type, seen) {
				return true
			}
		}
		return false
	default:
		return findBytes(t.Elem(), seen)
	}
}

// fields are the exported ones, embedded ones included.
func fields(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if f := t.Field(i); (f.IsExported() || f.Anonymous) && f.Tag.Get("json") != "-" && !yield(f) {
				return
			}
		}
	}
}

// rebuild is deconstruct for what reflection must look into.
func rebuild(v reflect.Value, bins [][]byte, depth int) (any, [][]byte) {
	if !v.IsValid() || depth > 1000 { // a value that holds itself fails in Marshal
		return nil, bins
	}
	if !v.CanInterface() {
		return nil, bins
	}
	if !holdsBytes(v.Type()) {
		return v.Interface(), bins
	}
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		if v.IsNil() {
			return nil, bins
		}
		return rebuild(v.Elem(), bins, depth+1)
	case reflect.Slice:
		if v.IsNil() {
			return nil, bins
		}
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return placeholder{true, len(bins)}, append(bins, v.Bytes())
		}
		fallthrough
	case reflect.Array:
		out := make([]any, v.Len())
		for i := range out {
			out[i], bins = rebuild(v.Index(i), bins, depth+1)
		}
		return out, bins
	case reflect.Map:
		if v.IsNil() || v.Type().Key().Kind() != reflect.String {
			return v.Interface(), bins
		}
		out := make(map[string]any, v.Len())
		for it := v.MapRange(); it.Next(); {
			out[it.Key().String()], bins = rebuild(it.Value(), bins, depth+1)
		}
		return out, bins
	case reflect.Struct:
		out := map[string]any{}
		return out, rebuildStruct(out, v, bins, depth)
	}
	return v.Interface(), bins
}

func rebuildStruct(out map[string]any, v reflect.Value, bins [][]byte, depth int) [][]byte {
	for f := range fields(v.Type()) {
		fv := v.FieldByIndex(f.Index)
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			for fv.Kind() == reflect.Pointer && !fv.IsNil() {
				fv = fv.Elem()
			}
			if fv.Kind() == reflect.Struct {
				bins = rebuildStruct(out, fv, bins, depth+1)
				continue
			}
		}
		if !f.IsExported() || strings.Contains(opts, "omitzero") && fv.IsZero() ||
			strings.Contains(opts, "omitempty") && empty(fv) {
			continue
		}
		if name == "" {
			name = f.Name
		}
		out[name], bins = rebuild(fv, bins, depth+1)
	}
	return bins
}

func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map, reflect.Array, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

var errAttachment = errors.New("illegal attachments")

// reconstruct puts the attachments where their placeholders stand.
func reconstruct(v any, bins [][]byte) (any, error) {
	var err error
	switch x := v.(type) {
	case []any:
		for i := range x {
			if x[i], err = reconstruct(x[i], bins); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		if x["_placeholder"] == true {
			n, ok := x["num"].(float64)
			if !ok || n != float64(int(n)) || n < 0 || int(n) >= len(bins) {
				return nil, errAttachment
			}
			return bins[int(n)], nil
		}
		for k := range x {
			if x[k], err = reconstruct(x[k], bins); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}
