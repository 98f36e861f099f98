package socketio

import "strconv"

// decodeAny decodes one value of JSON that was validated, as encoding/json does
// into an any, at a third of the cost: what handlers get passes through it.
func decodeAny(b []byte) any {
	d := anyDecoder{scanner{b: b}}
	return d.value()
}

type anyDecoder struct{ scanner }

func (d *anyDecoder) value() any {
	d.space()
	from := d.i
	switch d.b[d.i] {
	case '"':
		d.str()
		return unquote(d.b[from:d.i])
	case '{':
		d.i++
		m := map[string]any{}
		for !d.next('}') {
			d.next(',')
			d.space()
			from := d.i
			d.str()
			key := unquote(d.b[from:d.i])
			d.next(':')
			m[key] = d.value()
		}
		return m
	case '[':
		d.i++
		out := []any{}
		for !d.next(']') {
			d.next(',')
			out = append(out, d.value())
		}
		return out
	case 't':
		d.i += 4
		return true
	case 'f':
		d.i += 5
		return false
	case 'n':
		d.i += 4
		return nil
	}
	d.number()
	return toFloat(d.b[from:d.i])
}

// toFloat returns a number, or nil if it is out of a float64's range.
func toFloat(b []byte) any {
	if len(b) < 16 { // an integer that a float64 holds exactly
		n, i := 0, 0
		if b[0] == '-' {
			i = 1
		}
		for i < len(b) && b[i] >= '0' && b[i] <= '9' {
			n = n*10 + int(b[i]-'0')
			i++
		}
		if i == len(b) && (n != 0 || b[0] != '-') {
			if b[0] == '-' {
				n = -n
			}
			return float64(n)
		}
	}
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return nil
	}
	return f
}
