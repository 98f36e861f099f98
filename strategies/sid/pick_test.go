package sid

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/samedoor/samedoor/strategies"
)

// world is what a master knows.
type world struct {
	live, serving []int
	sessions      map[int]int
	reports       map[int]uint64
	*sid
}

func newWorld(slots ...int) *world {
	w := &world{live: slots, serving: slots, sessions: map[int]int{}, reports: map[int]uint64{}}
	w.sid = Info.New(strategies.Config{
		Hash:    func(netip.Addr, []int) int { return 99 },
		Serving: func() ([]int, <-chan struct{}) { return w.serving, nil },
		Load:    func(slot int) (int, uint64) { return w.sessions[slot], w.reports[slot] },
		Owner: func(sid string) (int, bool) {
			name, _, ok := strings.Cut(sid, ".")
			slot, err := strconv.Atoi(name)
			return slot, ok && err == nil
		},
	}).(*sid)
	return w
}

func (w *world) get(t *testing.T, query string) int {
	t.Helper()
	slot, ok := w.pick(netip.Addr{}, []byte("GET /socket.io/?"+query+" HTTP/1.1\r\n"), false, w.live)
	if !ok {
		t.Fatal("not chosen")
	}
	return slot
}

func TestOwner(t *testing.T) {
	w := newWorld(0, 1, 3)
	w.sessions[0], w.sessions[1] = 5, 5 // newcomers go to 3
	for sid, want := range map[string]int{"0.a": 0, "1.a": 1, "3.a": 3, "2.a": 3, "77.a": 3, "-1.a": 3, "a": 3, "": 3} {
		w.sent = map[int]sent{}
		if got := w.get(t, "sid="+sid); got != want {
			t.Errorf("sid %q: slot %d, want %d", sid, got, want)
		}
	}
	for _, head := range []string{"\x16\x03\x01", "PRI * HTTP/2.0\r\n"} {
		if got, ok := w.pick(netip.Addr{}, []byte(head), false, w.live); !ok || got != 99 {
			t.Errorf("%q: %d %v, want the hash", head, got, ok)
		}
	}
	if got, ok := w.pick(netip.Addr{}, nil, true, w.live); !ok || got != 99 {
		t.Errorf("a last look at nothing: %d %v, want the hash", got, ok)
	}
	if _, ok := w.pick(netip.Addr{}, nil, false, w.live); ok {
		t.Error("chosen before anything was sent")
	}
}

// TestNewcomers lets a burst come between two reports: it fills the slots to
// the same level.
func TestNewcomers(t *testing.T) {
	w := newWorld(0, 1, 2, 3)
	w.sessions = map[int]int{0: 10, 1: 4, 2: 0, 3: 7}
	level := map[int]int{0: 10, 1: 4, 2: 0, 3: 7}
	for range 19 {
		level[w.get(t, "EIO=4")]++
	}
	if s := fmt.Sprint(level); s != "map[0:10 1:10 2:10 3:10]" {
		t.Errorf("19 newcomers filled the slots to %s", s)
	}
	// Now they are told: nobody is counted twice.
	for slot := range level {
		w.sessions[slot], w.reports[slot] = level[slot], 1
	}
	for range 40 {
		level[w.get(t, "EIO=4")]++
	}
	if s := fmt.Sprint(level); s != "map[0:20 1:20 2:20 3:20]" {
		t.Errorf("40 more filled them to %s", s)
	}
	// A worker tells that they have left again.
	w.sessions[3], w.reports[3] = 0, 2
	for range 20 {
		if got := w.get(t, "EIO=4"); got != 3 {
			t.Fatalf("slot %d got a newcomer, 3 is empty", got)
		}
	}
}

func TestNewcomersGoWhereSomeoneServes(t *testing.T) {
	w := newWorld(0, 1, 2)
	w.serving = []int{1, 2} // 0 has no worker just now
	w.sessions = map[int]int{1: 5, 2: 5}
	var got []int
	for range 4 {
		got = append(got, w.get(t, ""))
	}
	slices.Sort(got)
	if !slices.Equal(got, []int{1, 1, 2, 2}) {
		t.Errorf("newcomers went to %v", got)
	}
	if got := w.get(t, "sid=0.a"); got != 0 {
		t.Errorf("a client of 0 went to %d: it is to wait for the successor", got)
	}
	w.serving = nil
	if got := w.get(t, ""); got < 0 || got > 2 {
		t.Errorf("nobody serves: slot %d", got)
	}
}

// TestStalledWorkerGetsNoNewcomers: one that keeps quiet about those it was
// sent is left alone, until it speaks.
func TestStalledWorkerGetsNoNewcomers(t *testing.T) {
	w := newWorld(0, 1)
	w.sessions = map[int]int{1: 50}
	to := func() (got [2]int) {
		for range 10 {
			slot := w.get(t, "")
			got[slot]++
			w.reports[1]++ // 1 tells at once
		}
		return got
	}
	if got := to(); got != [2]int{10, 0} {
		t.Errorf("0 has room: newcomers went to %v", got)
	}
	was := w.sent[0]
	was.first = was.first.Add(-2 * patience)
	w.sent[0] = was
	if got := to(); got != [2]int{0, 10} {
		t.Errorf("0 stalls: newcomers went to %v", got)
	}
	w.reports[0]++
	if got := to(); got != [2]int{10, 0} {
		t.Errorf("0 is back: newcomers went to %v", got)
	}
}

// TestPROXY: behind a trusted proxy the request follows an introduction; others
// can't introduce themselves.
func TestPROXY(t *testing.T) {
	w := newWorld(0, 1)
	w.Hash = strategies.Slot
	w.Proxies = strategies.Proxies{netip.MustParsePrefix("10.0.0.0/8")}
	proxy, client := netip.MustParseAddr("10.1.1.1"), netip.MustParseAddr("198.51.100.2")
	if w.Hash(proxy, w.live) == w.Hash(client, w.live) {
		t.Fatal("choose other addresses")
	}
	const intro = "PROXY TCP4 198.51.100.2 10.1.1.1 4711 80\r\n"
	for i := range intro {
		if _, ok := w.pick(proxy, []byte(intro[:i]), false, w.live); ok {
			t.Fatalf("chosen after %q", intro[:i])
		}
	}
	for slot, sid := range []string{"0.a", "1.a"} {
		if got, ok := w.pick(proxy, []byte(intro+"GET /?sid="+sid+" HTTP/1.1\r\n"), false, w.live); !ok || got != slot {
			t.Errorf("sid %s behind a proxy: slot %d, %v", sid, got, ok)
		}
	}
	for from, want := range map[netip.Addr]netip.Addr{proxy: client, client: client, netip.MustParseAddr("11.1.1.1"): netip.MustParseAddr("11.1.1.1")} {
		if got, ok := w.pick(from, []byte(intro+"\x16\x03\x01"), false, w.live); !ok || got != w.Hash(want, w.live) {
			t.Errorf("TLS behind %v: slot %d, %v; want that of %v", from, got, ok, want)
		}
	}
}
