package compare

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strings"
)

// lines calls each with every line written to it.
type lines struct {
	each func(line string)
	part []byte
}

// longest is how much of a line is kept, in bytes.
const longest = 16 << 10

func (l *lines) Write(p []byte) (int, error) {
	n := len(p)
	for {
		head, rest, ok := bytes.Cut(p, []byte{'\n'})
		if room := longest - len(l.part); room > 0 {
			l.part = append(l.part, head[:min(len(head), room)]...)
		}
		if !ok {
			return n, nil
		}
		l.each(string(l.part))
		l.part, p = l.part[:0], rest
	}
}

// A childLog takes what matters out of a cluster's log: the ordinary life of
// all clusters together is more than anybody reads.
type childLog struct {
	log    *slog.Logger
	reason string // in the one line that samedoor ends with when it can't go on
}

func (l *childLog) line(s string) {
	var record map[string]any
	if json.Unmarshal([]byte(s), &record) != nil {
		if why, ok := strings.CutPrefix(s, "samedoor: "); ok {
			l.reason = plain(why)
		} else if s != "" { // a crash, in many lines
			l.log.Error(s)
		}
		return
	}
	var level slog.Level
	name, _ := record[slog.LevelKey].(string)
	if level.UnmarshalText([]byte(name)) != nil || level < slog.LevelWarn {
		return
	}
	msg, _ := record[slog.MessageKey].(string)
	var attrs []any
	for _, k := range slices.Sorted(maps.Keys(record)) {
		switch k {
		case slog.TimeKey, slog.LevelKey, slog.MessageKey:
		case "pid": // ours stands there already
			attrs = append(attrs, "process", record[k])
		default:
			attrs = append(attrs, k, record[k])
		}
	}
	l.log.Log(context.Background(), level, msg, attrs...)
}
