package clients

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/bus/bustest"
	"github.com/samedoor/samedoor/internal/clustertest"
)

// twoMasters starts two of them on one Redis, behind one address.
func twoMasters(t testing.TB, redis string) (url string, a, b *clustertest.Cluster) {
	t.Helper()
	args := []string{"--strategy", "redis", "--redis", redis}
	a, b = clustertest.Start(t, args...), clustertest.Start(t, args...)
	return "http://" + bustest.NewLine(t, a.Addr, b.Addr).Addr, a, b
}

// TestTwoMasters: the registry in Redis carries requests across masters.
func TestTwoMasters(t *testing.T) {
	r := bustest.StartRedis(t)
	url, a, b := twoMasters(t, r.URL())
	all := connect(t, config{URL: url, Clients: many, Addresses: addresses, KeepAlive: true})
	// Workers of the two masters have the same slots and different names.
	byMaster := [2][]outcome{}
	for _, o := range all {
		home := 0
		if text, _ := o.Replies["/ws"].Text.(float64); int(text) >= b.Port && int(text) < b.Port+4 {
			home = 1
		}
		byMaster[home] = append(byMaster[home], o)
	}
	for i, c := range []*clustertest.Cluster{a, b} {
		s := count(t, byMaster[i], c.Port)
		s.trace(t, byMaster[i], a, b)
		t.Logf("sessions of master %d: %v", i, s)
		perfect(t, byMaster[i], s, a, b)
		if s.clients < many/4 || len(s.slots) != 4 {
			t.Errorf("master %d has %d sessions on %d slots", i, s.clients, len(s.slots))
		}
	}
	_, forwarded := refusals(a, b)
	t.Logf("%d requests forwarded", forwarded)

	// What one says everybody is told, whichever master they are with.
	p := lively(t, config{URL: url, Clients: 16, Room: "both"})
	p.do("say", "client", 0)
	p.do("say", "client", 1)
	p.until(5*time.Second, "both messages seen", func(r report) bool { return r.Seen == 2 })
	names := map[string]bool{}
	for _, o := range p.reports() {
		name, _, _ := strings.Cut(o.SID, ".")
		_, host, _ := strings.Cut(name, "-")
		names[host] = true
	}
	if len(names) != 2 {
		t.Errorf("the chat's clients are with %d masters", len(names))
	}
}

// TestWithoutRegistry: with everything in Redis but the registry, the same
// clients fail. So it is the registry that carries them.
func TestWithoutRegistry(t *testing.T) {
	r := bustest.StartRedis(t)
	admin := r.Client()
	defer admin.Close()
	// See internal/bus/keys.go: all keys but {samedoor}:workers and {samedoor}:worker:….
	user := []any{"ACL", "SETUSER", "blind", "on", ">secret", "+@all", "&*"}
	for _, pattern := range []string{"epoch", "keep", "wake:*", "rooms:*", "inside:*", "messages:*", "events:*", "sent:*", "members:*"} {
		user = append(user, "~{samedoor}:"+pattern)
	}
	if err := admin.Do(context.Background(), user...).Err(); err != nil {
		t.Fatal(err)
	}
	url, a, b := twoMasters(t, "redis://blind:secret@"+r.Addr)
	all := connect(t, config{URL: url, Clients: many, Addresses: addresses, Limit: 10_000})
	failed, refused := 0, 0
	for _, o := range all {
		if o.Failed != "" {
			failed++
		}
		for _, r := range o.Requests {
			if r.Status == 400 {
				refused++
			}
		}
	}
	counted, _ := refusals(a, b)
	t.Logf("without the registry: %d of %d clients failed, %d requests answered 400 (/cluster tells %d)", failed, many, refused, counted)
	if failed < many*8/10 || refused < failed {
		t.Error("most should have failed")
	}
	for _, c := range []*clustertest.Cluster{a, b} {
		if n := strings.Count(c.Log(), "NOPERM"); n == 0 || n > 40 {
			t.Errorf("the log tells %d times that the registry can't be used", n)
		}
	}
}
