package bus

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/bus/bustest"
	"github.com/samedoor/samedoor/internal/clustertest"
	"github.com/samedoor/samedoor/internal/logs/logstest"
)

func TestRegistry(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		b, ctx := open(t, url), t.Context()
		r := b.Registry()
		want := Worker{ID: "w-2_x", Slot: 2, Host: "h", Addr: "unix:/x", Secret: "s", PID: 7, Port: 3133, Strategy: "redis"}
		if w, ok := r.Lookup(ctx, want.ID); ok {
			t.Fatalf("found %v before it registered", w)
		}
		stop := running(t, func(ctx context.Context) error { return open(t, url).Register(ctx, want) })
		clustertest.Until(t, limit, "registered", func() bool { w, ok := r.Lookup(ctx, want.ID); return ok && w == want })
		stopped := running(t, func(ctx context.Context) error { return open(t, url).Register(ctx, Worker{ID: "w0"}) })
		clustertest.Until(t, limit, "both", func() bool {
			all, err := r.List(ctx)
			return err == nil && len(all) == 2 && all[0].ID == "w0" && all[1] == want
		})
		stop()
		clustertest.Until(t, limit, "one left", func() bool { _, ok := r.Lookup(ctx, want.ID); return !ok })
		stopped()
	})
}

func TestRegisterRefusesIDs(t *testing.T) {
	b := open(t, embedded(t).URL())
	for _, id := range []string{"", "a:b", "a.b", "a b", "{a}", "ä", strings.Repeat("a", 65)} {
		if err := b.Register(t.Context(), Worker{ID: id}); err == nil {
			t.Errorf("registered %q", id)
		}
		if _, ok := b.Registry().Lookup(t.Context(), id); ok {
			t.Errorf("found %q", id)
		}
	}
}

// TestLease: a worker that dies without a word is unknown when its lease is
// over, and one that lives on stays.
func TestLease(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		b := open(t, url)
		b.lease, b.refresh = 1500*time.Millisecond, 100*time.Millisecond
		if err := b.renew(t.Context(), "dead", []byte(`{"id":"dead"}`)); err != nil {
			t.Fatal(err)
		}
		running(t, func(ctx context.Context) error { return b.Register(ctx, Worker{ID: "alive"}) })
		r := b.Registry()
		clustertest.Until(t, limit, "both", func() bool {
			_, dead := r.Lookup(t.Context(), "dead")
			_, alive := r.Lookup(t.Context(), "alive")
			return dead && alive
		})
		clustertest.Until(t, limit, "lease over", func() bool { _, ok := r.Lookup(t.Context(), "dead"); return !ok })
		if _, ok := r.Lookup(t.Context(), "alive"); !ok {
			t.Error("a living worker's lease ran out")
		}
	})
}

// TestSuccessorKeepsLease: the end of a worker does not unregister another one
// that has taken over its id.
func TestSuccessorKeepsLease(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		b, r := open(t, url), open(t, url).Registry()
		stop := running(t, func(ctx context.Context) error { return b.Register(ctx, Worker{ID: "w", PID: 1}) })
		clustertest.Until(t, limit, "first", func() bool { w, _ := r.Lookup(t.Context(), "w"); return w.PID == 1 })
		running(t, func(ctx context.Context) error { return b.Register(ctx, Worker{ID: "w", PID: 2}) })
		clustertest.Until(t, limit, "second", func() bool { w, _ := r.Lookup(t.Context(), "w"); return w.PID == 2 })
		stop()
		if all, err := b.Registry().List(t.Context()); err != nil || len(all) != 1 || all[0].PID != 2 {
			t.Errorf("%v, %v; want the successor", all, err)
		}
	})
}

// TestRegistryOutage: the last table answers while the bus is away, and the
// workers of a server that lost its data are known all the time.
func TestRegistryOutage(t *testing.T) {
	server := bustest.StartRedis(t)
	var log logstest.Buffer
	b := openLogging(t, server.URL(), &log)
	running(t, func(ctx context.Context) error { return b.Register(ctx, Worker{ID: "w"}) })
	r := b.Registry()
	known := func() bool { _, ok := r.Lookup(t.Context(), "w"); return ok }
	clustertest.Until(t, limit, "registered", known)

	server.Kill()
	for end := time.Now().Add(2500 * time.Millisecond); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		began := time.Now()
		if !known() {
			t.Fatal("unknown while the bus is away")
		}
		if d := time.Since(began); d > 500*time.Millisecond {
			t.Errorf("a look-up took %s while the bus was known to be away", d)
		}
		if _, ok := r.Lookup(t.Context(), "forged"); ok {
			t.Fatal("found a forged id")
		}
	}
	server.Start()
	c := server.Client()
	defer c.Close()
	clustertest.Until(t, 5*time.Second, "registered again", func() bool {
		if !known() {
			t.Fatal("unknown after the return")
		}
		return c.Exists(t.Context(), leaseKey("w")).Val() == 1
	})
	if log.Count("bus gone") != 1 || log.Count("bus back") != 1 || log.Count("level=") != 2 {
		t.Errorf("log:\n%s", &log)
	}
}

// TestForgedIDs: ids nobody has cost the server next to nothing.
func TestForgedIDs(t *testing.T) {
	e := embedded(t)
	b := open(t, e.URL())
	r := b.Registry()
	r.Lookup(t.Context(), "warm")
	for _, tt := range []struct {
		name string
		id   func(int) string
		most int
	}{
		{"the same", func(int) string { return "forged" }, 30},
		{"different", func(i int) string { return fmt.Sprint("forged", i) }, 250},
	} {
		before, began := e.server.CommandCount(), time.Now()
		for i := range 20000 {
			if _, ok := r.Lookup(t.Context(), tt.id(i)); ok {
				t.Fatal("found a forged id")
			}
		}
		allowed := tt.most + int(time.Since(began).Seconds()*60)
		if n := e.server.CommandCount() - before; n > allowed {
			t.Errorf("%s: 20000 look-ups cost %d commands, want at most %d", tt.name, n, allowed)
		}
		if n := len(r.unknown); n > unknownMax {
			t.Errorf("%d unknown ids remembered", n)
		}
	}
}

// TestRefused: a server that refuses a command is not one that is gone; it is
// told once, and again when it is over.
func TestRefused(t *testing.T) {
	server := bustest.StartRedis(t)
	c := server.Client()
	defer c.Close()
	acl := func(rules ...any) {
		t.Helper()
		if err := c.Do(t.Context(), append([]any{"ACL", "SETUSER", "u"}, rules...)...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	acl("on", ">p", "~{samedoor}:*", "+@all", "-set")
	var log logstest.Buffer
	b := openLogging(t, "redis://u:p@"+server.Addr, &log)
	b.refresh = 20 * time.Millisecond
	running(t, func(ctx context.Context) error { return b.Register(ctx, Worker{ID: "w"}) })
	clustertest.Until(t, limit, "complaint", func() bool { return log.Count("NOPERM") > 0 })
	time.Sleep(500 * time.Millisecond) // several attempts
	if log.Count("fails, will go on trying") != 1 || log.Count("bus gone") != 0 {
		t.Errorf("log:\n%s", &log)
	}
	acl("+set")
	clustertest.Until(t, limit, "registered", func() bool { _, ok := b.Registry().Lookup(t.Context(), "w"); return ok })
	clustertest.Until(t, limit, "all clear", func() bool { return log.Count("works again") == 1 })
}
