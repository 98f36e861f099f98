package clients

import (
	"slices"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/bus/bustest"
	"github.com/samedoor/samedoor/internal/clustertest"
)

// answer is how a chat message was answered.
type answer struct {
	At    int64 // ms since 1970, when it was sent
	MS    int64
	OK    bool
	Error string
}

// TestOutage: Redis goes away and returns under chatting clients. Messages are
// refused meanwhile and everything else goes on; then everything resumes.
func TestOutage(t *testing.T) {
	for _, tt := range []struct {
		name       string
		away, back func(*bustest.Redis)
		silent     bool // it accepts connections, so its absence takes a while to notice
	}{
		{"killed", (*bustest.Redis).Kill, (*bustest.Redis).Start, false},
		{"stopped", (*bustest.Redis).Pause, (*bustest.Redis).Resume, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			outage(t, tt.away, tt.back, tt.silent)
		})
	}
}

func outage(t *testing.T, away, back func(*bustest.Redis), silent bool) {
	const clients = 20
	r := bustest.StartRedis(t)
	c := clustertest.Start(t, "--strategy", "master", "--redis", r.URL())
	// Two clients of each address: they are on the same worker.
	p := lively(t, config{URL: c.URL, Clients: clients, Addresses: clients / 2, Room: "outage"})
	before := workers(c)
	length, chat := 3*time.Second, 1000
	if soak {
		length, chat = 30*time.Second, 3000 // ms: all messages shall fit into a welcome's history
	}
	for kind, every := range map[string]int{"chat": chat, "echo": 500, "type": 500} {
		p.do(kind, "every", every)
	}
	p.until(10*time.Second, "everybody's message acknowledged", func(r report) bool { return r.Acked > 0 })
	p.do("forget")

	leaving := time.Now()
	away(r)
	gone := time.Now()
	time.Sleep(length - 2*time.Second)
	began, at := cpu(before), time.Now()
	p.do("forget")
	time.Sleep(2 * time.Second)
	busy := float64(cpu(before)-began) / float64(time.Since(at))
	during := p.reports()
	returning := time.Now()
	back(r)
	returned := time.Now()

	for _, r := range during {
		if len(r.Typed) == 0 {
			t.Errorf("client %d was not told that its neighbour on slot %d types", r.I, r.Slot)
		}
		if r.Echoes.Answered < r.Echoes.Sent-1 || r.Echoes.Answered == 0 {
			t.Errorf("client %d: %d of %d echoes were answered", r.I, r.Echoes.Answered, r.Echoes.Sent)
		}
	}
	if busy > 0.20 {
		t.Errorf("the workers used %.0f%% of a core during the outage", 100*busy)
	}

	// Back to normal: a message of each is acknowledged again, and one sent
	// after that reaches all.
	slowest := time.Duration(0)
	for {
		var answers [][]answer
		p.get("answers", &answers)
		resumed := 0
		for _, as := range answers {
			for _, a := range as {
				if when := time.UnixMilli(a.At + a.MS); a.OK && when.After(returned) {
					slowest = max(slowest, when.Sub(returned))
					resumed++
					break
				}
			}
		}
		if resumed == clients {
			break
		}
		if time.Since(returned) > 7*time.Second {
			t.Fatalf("only %d of %d clients could chat again", resumed, clients)
		}
		time.Sleep(100 * time.Millisecond)
	}
	if slowest > 5*time.Second {
		t.Errorf("chat resumed after %v", slowest)
	}
	p.do("quiet", "of", "chat")
	p.until(10*time.Second, "everything acknowledged", func(r report) bool { return r.Waiting == 0 })
	time.Sleep(300 * time.Millisecond)
	seen := p.reports()
	p.do("say", "client", 0)
	p.until(5*time.Second, "a message seen by all", func(r report) bool { return r.Seen > seen[r.I].Seen })

	var answers [][]answer
	p.get("answers", &answers)
	refused, worst := 0, int64(0)
	for i, as := range answers {
		for _, a := range as {
			if a.Error == "no answer" || a.Error == "lost" || a.MS > 4000 {
				t.Errorf("client %d: a message was answered after %d ms: ok %v %s", i, a.MS, a.OK, a.Error)
			}
			if !a.OK {
				refused++
			}
			worst = max(worst, a.MS)
			if sent := time.UnixMilli(a.At); a.OK && sent.After(gone) && sent.Add(time.Duration(a.MS)*time.Millisecond).Before(returning) {
				t.Errorf("client %d: a message was acknowledged without a bus", i)
			}
		}
	}
	if refused < clients {
		t.Errorf("%d messages were refused meanwhile", refused)
	}
	worstEcho := 0
	for _, r := range p.reports() {
		worstEcho = max(worstEcho, r.Echoes.Worst)
		if len(r.Disconnects) > 0 || r.Welcomes != 1 {
			t.Errorf("client %d lost its connection: %v", r.I, r.Disconnects)
		}
	}
	if worstEcho > 1000 {
		t.Errorf("an echo took %d ms", worstEcho)
	}

	// What was acknowledged after the return is there, once, in one order.
	late := lively(t, config{URL: c.URL, Clients: 1, Room: "outage", From: "0-0"})
	var found, all []diary
	late.get("logs", &found)
	p.get("logs", &all)
	times := map[string]int{}
	for _, m := range found[0].Seen {
		times[m[1]]++
	}
	for id, n := range times {
		if n > 1 {
			t.Errorf("message %s is in the history %d times", id, n)
		}
	}
	for i, d := range all {
		own := map[string]int{}
		for _, m := range d.Seen {
			own[m[0]]++
		}
		for offset, n := range own {
			if n > 1 {
				t.Errorf("client %d was told %s %d times", i, offset, n)
			}
		}
		if silent { // nothing was lost with it
			for _, a := range d.Acked {
				if times[a[0]] != 1 {
					t.Errorf("acknowledged message %s is in the history %d times", a[0], times[a[0]])
				}
			}
			if len(d.Seen) != len(found[0].Seen) {
				t.Errorf("client %d saw %d of %d messages", i, len(d.Seen), len(found[0].Seen))
			}
		}
	}
	if after := workers(c); !slices.Equal(before, after) {
		t.Errorf("workers were %v and are %v", before, after)
	}
	t.Logf("Redis away for %v: %d messages refused, the slowest answer after %d ms; worst echo %d ms; workers used %.1f%% of a core; all chat again %v after its return",
		returned.Sub(leaving).Round(time.Millisecond), refused, worst, worstEcho, 100*busy, slowest.Round(time.Millisecond))
}
