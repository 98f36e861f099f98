package bus

import "strings"

// Every key starts with the same hash tag: one slot of a Redis Cluster holds
// them all, so that scripts and XREAD may span several. Room names come last,
// as they may hold any character; worker ids hold no colon.
const (
	prefix     = "{samedoor}:"
	epochKey   = prefix + "epoch"   // a random text as old as the data; another one: all was lost
	keepKey    = prefix + "keep"    // how many messages a room keeps; absent: [keepDefault]
	workersKey = prefix + "workers" // set of worker ids, some perhaps dead

	roomsMaxKey = prefix + "rooms"    // how many rooms may have messages; absent: no limit
	allRoomsKey = prefix + "allrooms" // set of the streams of those, where they are limited
)

func leaseKey(worker string) string   { return prefix + "worker:" + worker }  // JSON of Worker, expires
func wakeKey(worker string) string    { return prefix + "wake:" + worker }    // stream: watch more rooms
func roomsKey(worker string) string   { return prefix + "rooms:" + worker }   // set of rooms it has members in
func insideKey(room string) string    { return prefix + "inside:" + room }    // set of workers with members in it
func messagesKey(room string) string  { return prefix + "messages:" + room }  // stream
func eventsKey(room string) string    { return prefix + "events:" + room }    // stream: presence, typing
func sentKey(room string) string      { return prefix + "sent:" + room }      // hash: a message's fingerprint to the offset it got
func sentOrderKey(room string) string { return prefix + "sentorder:" + room } // list of those fingerprints, oldest first
func membersKey(worker, room string) string { // hash: member id to JSON of Member
	return prefix + "members:" + worker + ":" + room
}

// ValidWorkerID reports whether id may name a worker: 1 to 64 letters, digits,
// - and _. Others are never looked for, wherever they came from.
func ValidWorkerID(id string) bool {
	return id != "" && len(id) <= 64 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}
