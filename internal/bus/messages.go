package bus

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	keepDefault = 10000              // messages a room keeps, about
	roomLife    = 7 * 24 * time.Hour // and how long after its last one
	sentLife    = 24 * time.Hour     // how long after a room's last message one sent twice is known
	sentMax     = 100_000            // and for how many messages of the room
)

// Message is what a room's stream holds, in the shape clients see it.
type Message struct {
	Offset string `json:"offset"` // its place, see [Offset]
	ID     string `json:"id"`     // the sender's own name for it
	Name   string `json:"name"`
	Slot   int    `json:"slot"` // of the worker it was sent through
	Text   string `json:"text"`
	At     int64  `json:"at"` // milliseconds since 1970 by the server's clock

	Place Offset `json:"-"` // Offset, parsed
}

// stored is the part of a Message that the stream's entry holds in its one
// field; place and time are the entry's id.
type stored struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Slot int    `json:"slot"`
	Text string `json:"text"`
}

const entryField = "m"

// appendScript stores a message unless its sender has stored one by that name,
// and answers with the place of the one that is stored.
//
// What was sent is a hash (by whom and what, to its place) and a list of the
// hash's fields, oldest first, by which it is bounded: a key for each message
// would be millions in a day, which the embedded server visits one by one.
var appendScript = redis.NewScript(`
local first = redis.call('HGET', KEYS[2], ARGV[5])
if first then return first end
local rooms = redis.call('GET', KEYS[5])
if rooms and redis.call('EXISTS', KEYS[1]) == 0 then
  local dead = redis.call('SRANDMEMBER', KEYS[6], 16)
  for _, key in ipairs(dead) do
    if redis.call('EXISTS', key) == 0 then redis.call('SREM', KEYS[6], key) end
  end
  if redis.call('SCARD', KEYS[6]) >= tonumber(rooms) then
    return redis.error_reply('TOOMANYROOMS')
  end
  redis.call('SADD', KEYS[6], KEYS[1])
end
local keep = redis.call('GET', KEYS[4]) or ARGV[2]
local place = redis.call('XADD', KEYS[1], 'MAXLEN', '~', keep, '*', '` + entryField + `', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('HSET', KEYS[2], ARGV[5], place)
if redis.call('RPUSH', KEYS[3], ARGV[5]) > tonumber(ARGV[6]) then
  redis.call('HDEL', KEYS[2], redis.call('LPOP', KEYS[3]))
end
redis.call('EXPIRE', KEYS[2], ARGV[4])
redis.call('EXPIRE', KEYS[3], ARGV[4])
return place
`)

// ErrRooms says that the embedded bus holds as many rooms as it may.
var ErrRooms = errors.New("too many rooms: join one that is there")

// Append stores m, whose Offset and At are not looked at, and returns its
// offset. Called again with the same room, client key and m.ID (within a day,
// and the room's next 100,000 messages) it stores nothing and returns the first
// one's. When it fails the message may
// have been stored all the same: call it again with the same ID.
func (b *Bus) Append(ctx context.Context, room, client string, m Message) (offset string, err error) {
	full := false
	entry, err := json.Marshal(stored{m.ID, m.Name, m.Slot, m.Text})
	if err != nil {
		return "", fmt.Errorf("store a message: %w", err)
	}
	sum := sha256.Sum256([]byte(fmt.Sprintf("%q %q %q", room, client, m.ID)))
	keys := []string{messagesKey(room), sentKey(room), sentOrderKey(room), keepKey, roomsMaxKey, allRoomsKey}
	err = b.do(ctx, callLimit, func(ctx context.Context) error {
		offset, err = appendScript.Run(ctx, b.client, keys,
			entry, keepDefault, int(roomLife.Seconds()), int(sentLife.Seconds()), hex.EncodeToString(sum[:16]), sentMax).Text()
		if err != nil && strings.Contains(err.Error(), "TOOMANYROOMS") {
			full, err = true, nil // the bus is well
		}
		return err
	})
	if full {
		return "", ErrRooms
	}
	b.storing.note(b.log, "storing messages", err)
	if err != nil {
		return "", fmt.Errorf("store a message: %w", err)
	}
	return offset, nil
}

// Last returns a room's n newest messages, oldest first.
func (b *Bus) Last(ctx context.Context, room string, n int) ([]Message, error) {
	ms, err := b.backwards(ctx, room, "-", n)
	if err != nil {
		return nil, fmt.Errorf("read the last messages: %w", err)
	}
	slices.Reverse(ms)
	return ms, nil
}

// After returns what follows after, oldest first, at most limit messages: the
// first ones, so that a caller can read on from the last.
func (b *Bus) After(ctx context.Context, room string, after Offset, limit int) ([]Message, error) {
	var entries []redis.XMessage
	err := b.do(ctx, callLimit, func(ctx context.Context) (err error) {
		// Not "(offset": Redis 6.0 and older don't know exclusive ranges.
		entries, err = b.client.XRangeN(ctx, messagesKey(room), Offset{after.Ms, after.Seq + 1}.String(), "+", int64(limit)).Result()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read messages: %w", err)
	}
	return decodeMessages(entries), nil
}

// Since returns what somebody who saw a room up to after has missed: the limit
// newest messages behind it, oldest first. gap tells that something between is
// missing: there were more than limit, or the stream does not hold after any
// more (it expired, or the server lost its data). known is false when after
// stands behind the stream's end, so that it can't be of this stream at all;
// then there are no messages.
func (b *Bus) Since(ctx context.Context, room string, after Offset, limit int) (ms []Message, gap, known bool, err error) {
	ms, err = b.backwards(ctx, room, after.String(), limit+1)
	if err != nil {
		return nil, false, false, fmt.Errorf("read missed messages: %w", err)
	}
	slices.Reverse(ms)
	switch {
	case len(ms) == 0:
		return nil, after.real(), !after.real(), nil
	case ms[0].Place == after:
		return ms[1:], false, true, nil
	case len(ms) > limit:
		return ms[1:], true, true, nil
	default:
		return ms, after.real(), true, nil
	}
}

func (b *Bus) backwards(ctx context.Context, room, from string, n int) ([]Message, error) {
	var entries []redis.XMessage
	err := b.do(ctx, callLimit, func(ctx context.Context) (err error) {
		entries, err = b.client.XRevRangeN(ctx, messagesKey(room), "+", from, int64(n)).Result()
		return err
	})
	return decodeMessages(entries), err
}

// decodeMessages leaves out what others may have put into the stream.
func decodeMessages(entries []redis.XMessage) []Message {
	ms := make([]Message, 0, len(entries))
	for _, e := range entries {
		text, _ := e.Values[entryField].(string)
		var s stored
		place, err := serverOffset(e.ID)
		if err != nil || json.Unmarshal([]byte(text), &s) != nil {
			continue
		}
		ms = append(ms, Message{
			Offset: e.ID, ID: s.ID, Name: s.Name, Slot: s.Slot, Text: s.Text, At: int64(place.Ms), Place: place,
		})
	}
	return ms
}
