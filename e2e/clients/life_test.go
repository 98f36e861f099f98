package clients

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/clustertest"
)

var every = append([]string{"none"}, sticky...)

// TestMasterKilled: whatever it started ends with it, at once.
func TestMasterKilled(t *testing.T) {
	each(t, every, func(t *testing.T, strategy string) {
		t.Parallel()
		c := clustertest.Start(t, "--strategy", strategy)
		all := family(c.PID())
		want := 5
		if strategy == "nginx" {
			want = 7 // nginx's own master and its process
		}
		if len(all) != want {
			t.Errorf("%d processes, want %d", len(all), want)
		}
		c.Signal(syscall.SIGKILL)
		began := time.Now()
		select {
		case <-c.Ended():
		case <-time.After(2 * time.Second):
			t.Fatal("the master did not end")
		}
		clustertest.Until(t, 2*time.Second-time.Since(began), "all processes ended", func() bool { return len(alive(all)) == 0 })
		t.Logf("all %d processes ended within %v", len(all), time.Since(began).Round(time.Millisecond))
		if left := c.Group(); len(left) > 0 {
			t.Errorf("left running: %v", left)
		}
		free(t, c, 4)
	})
}

// TestWorkerKilled: another one takes its slot.
func TestWorkerKilled(t *testing.T) {
	each(t, every, func(t *testing.T, strategy string) {
		t.Parallel()
		c := clustertest.Start(t, "--strategy", strategy)
		old := kill(t, c, 2)
		successor(t, c, 2, old)
		for _, w := range c.Status().Workers {
			want := 0
			if w.Slot == 2 {
				want = 1
			}
			if w.Restarts != want || w.State != "ready" {
				t.Errorf("slot %d: %d restarts, %s", w.Slot, w.Restarts, w.State)
			}
		}
		if _, _, err := open("127.0.0.1", c.URL, strategy == "server"); err != nil {
			t.Error(err)
		}
	})
}

// TestStop: SIGTERM ends everything in time, clients or not.
func TestStop(t *testing.T) {
	each(t, sticky, func(t *testing.T, strategy string) {
		t.Parallel()
		c := clustertest.Start(t, "--strategy", strategy)
		lively(t, config{URL: c.URL, Clients: 20, Addresses: 20, Route: strategy == "server"})
		h := from("127.0.0.1")
		go func() { // a poll that is held
			sid, _, err := open("127.0.0.1", c.URL, false)
			if err == nil {
				if r, err := h.Get(c.URL + "/socket.io/?EIO=4&transport=polling&sid=" + sid); err == nil {
					r.Body.Close()
				}
			}
		}()
		time.Sleep(100 * time.Millisecond)
		all := family(c.PID())
		began := time.Now()
		c.Stop() // checks time, exit code and process group
		t.Logf("stopped in %v", time.Since(began).Round(time.Millisecond))
		if left := alive(all); len(left) > 0 {
			t.Errorf("left running: %v", left)
		}
		free(t, c, 4)
	})
}

// TestReload: SIGHUP replaces all workers, one by one, and refuses nobody.
func TestReload(t *testing.T) {
	each(t, sticky, func(t *testing.T, strategy string) {
		t.Parallel()
		c := clustertest.Start(t, "--strategy", strategy)
		p := lively(t, config{URL: c.URL, Clients: 20, Addresses: 20, Route: strategy == "server"})
		before := workers(c)
		stop, knocked := make(chan struct{}), make(chan error)
		newcomers, cut, told := 0, 0, 0
		go func() { // one after another, meanwhile
			var failed error
			for {
				select {
				case <-stop:
					knocked <- failed
					return
				case <-time.After(5 * time.Millisecond):
				}
				_, _, err := open(addr(newcomers%20), c.URL, strategy == "server")
				switch newcomers++; {
				case err == nil:
				case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
					cut++ // it had been taken by a worker that was told to end
				case strings.Contains(err.Error(), "503 ") && strings.Contains(err.Error(), "try again"):
					told++ // likewise, and the worker could still say so
				case failed == nil:
					failed = fmt.Errorf("newcomer %d: %w", newcomers, err)
				}
			}
		}()
		began := time.Now()
		c.Signal(syscall.SIGHUP)
		clustertest.Until(t, 60*time.Second, "all workers replaced and ready", func() bool {
			var s clustertest.Status
			if c.Get("/cluster", &s) != nil {
				return false
			}
			if len(s.Workers) != len(before) {
				t.Errorf("/cluster tells of %d workers: %+v", len(s.Workers), s)
				return false
			}
			for _, w := range s.Workers {
				if w.PID == before[w.Slot] || w.State != "ready" {
					return false
				}
			}
			return true
		})
		took := time.Since(began)
		close(stop)
		if err := <-knocked; err != nil {
			t.Errorf("a connection failed during the reload: %v", err)
		}
		if cut > 1 || told > 3 {
			t.Errorf("%d of %d newcomers got no answer, %d were told to come again", cut, newcomers, told)
		}
		p.until(10*time.Second, "all clients back on a WebSocket", func(r report) bool {
			// In redis an upgrade may go through a worker that is about to end. Clients try it once a session.
			return r.Here && (r.Transport == "websocket" || strategy == "redis")
		})
		back, stuck, polling := time.Since(began), 0, 0
		for _, r := range p.reports() {
			if r.Errors["ECONNREFUSED"] > 0 || len(r.Disconnects) == 0 {
				t.Errorf("client %d: disconnects %v, errors %v", r.I, r.Disconnects, r.Errors)
			}
			stuck += r.Stuck
			if r.Transport == "polling" {
				polling++
			}
		}
		t.Logf("4 workers replaced in %v under %d newcomers, %d of them cut off, %d told to come again; all clients back after %v, %d of them on polling, %d upgrades ended halfway",
			took.Round(time.Millisecond), newcomers, cut, told, back.Round(time.Millisecond), polling, stuck)
	})
}

// TestGivenUp: a worker that dies too often is given up, loudly; its clients
// are served by the others. When none is left the master ends.
func TestGivenUp(t *testing.T) {
	each(t, sticky, func(t *testing.T, strategy string) {
		t.Parallel()
		c := clustertest.Start(t, "--strategy", strategy, "--workers", "3", "--max-restarts", "1", "--restart-delay", "100ms")
		route := strategy == "server"
		var its []int // clients of slot 1
		for i := range 20 {
			_, slot, err := open(addr(i), c.URL, route)
			if err != nil {
				t.Fatal(err)
			}
			if slot == "1" {
				its = append(its, i)
			}
		}
		if len(its) == 0 {
			t.Fatal("no client is on slot 1")
		}
		old := kill(t, c, 1)
		successor(t, c, 1, old)
		kill(t, c, 1)
		givenUp := func(slot int) func() bool {
			return func() bool {
				var s clustertest.Status
				return c.Get("/cluster", &s) == nil && len(s.Workers) > slot && s.Workers[slot].State == "given up"
			}
		}
		clustertest.Until(t, 3*time.Second, "slot 1 given up", givenUp(1))
		clustertest.Until(t, 2*time.Second, "the log says it loudly", func() bool {
			return strings.Contains(c.Log(), "ERROR slot given up")
		})
		if w := c.Status().Warnings; len(w) != 1 || !strings.Contains(w[0], "1") {
			t.Errorf("/cluster warns %q", w)
		}
		for _, i := range its {
			var slot string
			var err error
			// nginx is told a moment later, and answers 502 until then.
			for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
				if _, slot, err = open(addr(i), c.URL, route); err == nil {
					break
				}
			}
			if err != nil || slot == "1" {
				t.Errorf("a client of slot 1 is on slot %q: %v", slot, err)
			}
		}
		// And all the way, with the official client.
		all := connect(t, config{URL: c.URL, Clients: 40, Addresses: 20, Route: route, KeepAlive: true})
		s := count(t, all, c.Port)
		s.trace(t, all, c)
		perfect(t, all, s)
		t.Logf("after slot 1 was given up: %v", s)

		for _, slot := range []int{0, 2} {
			old := kill(t, c, slot)
			successor(t, c, slot, old)
		}
		family := family(c.PID())
		pids := workers(c)
		for _, slot := range []int{0, 2} {
			_ = syscall.Kill(pids[slot], syscall.SIGKILL)
		}
		select {
		case <-c.Ended():
		case <-time.After(4 * time.Second):
			t.Fatal("the master goes on without workers")
		}
		if code := c.State().ExitCode(); code != 1 {
			t.Errorf("exit code %d", code)
		}
		clustertest.Until(t, time.Second, "nothing left running", func() bool { return len(alive(family)) == 0 })
		free(t, c, 3)
	})
}

// TestStalled: a worker that stands still holds up its own clients alone. When
// as many wait as may, newcomers are told to come again.
func TestStalled(t *testing.T) {
	for _, strategy := range []string{"master", "sid"} {
		t.Run(strategy, func(t *testing.T) { stalls(t, clustertest.Start(t, "--strategy", strategy)) })
	}
}

func stalls(t *testing.T, c *clustertest.Cluster) {
	type client struct{ addr, query string } // what strategies know one by
	homes := map[string]client{}             // one of each slot
	for i := range 40 {
		sid, slot, err := open(addr(i), c.URL, false)
		if err != nil {
			t.Fatal(err)
		}
		homes[slot] = client{addr(i), "?sid=" + sid}
	}
	// ask returns the slot that answers a client.
	ask := func(cl client) (slot string, err error) {
		resp, err := from(cl.addr).Get(c.URL + "/healthz" + cl.query)
		if err != nil {
			return "", err
		}
		resp.Body.Close()
		return resp.Header.Get("X-Samedoor-Worker"), nil
	}
	pid := c.Worker(1)
	_ = syscall.Kill(pid, syscall.SIGSTOP)
	defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	clustertest.Until(t, time.Second, "the worker stands still", func() bool { return still(pid) })

	d := net.Dialer{Timeout: time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(homes["1"].addr)}}
	var waiting []net.Conn
	var answer *http.Response
	for answer == nil && len(waiting) < 3000 {
		conn, err := d.Dial("tcp", c.Addr)
		if err != nil {
			t.Fatalf("connection %d was refused: %v", len(waiting), err)
		}
		defer conn.Close()
		if _, err := conn.Write([]byte("GET /healthz" + homes["1"].query + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		if len(waiting)%50 == 49 { // give the master time to answer
			_ = conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
			answer, _ = http.ReadResponse(bufio.NewReader(conn), nil)
			_ = conn.SetReadDeadline(time.Time{})
		}
		if answer == nil {
			waiting = append(waiting, conn)
		}
	}
	switch {
	case answer == nil:
		t.Errorf("%d connections wait, and none was told to come again", len(waiting))
	case answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "":
		t.Errorf("a newcomer is answered %s %v", answer.Status, answer.Header)
	}

	// Others don't notice.
	slowest := time.Duration(0)
	for range 5 {
		for slot, home := range homes {
			if slot == "1" {
				continue
			}
			began := time.Now()
			if got, err := ask(home); err != nil || got != slot {
				t.Errorf("a client of slot %s was answered by %q: %v", slot, got, err)
			}
			slowest = max(slowest, time.Since(began))
		}
	}
	if slowest > 500*time.Millisecond {
		t.Errorf("others waited for %v", slowest)
	}
	// Nor do newcomers, once the stall is known, where nobody belongs to it.
	clustertest.Until(t, 20*time.Second, "newcomers are served", func() bool {
		for i := range 8 {
			if _, slot, err := open(homes["0"].addr, c.URL, false); err != nil || slot == "1" {
				t.Logf("newcomer %d: on %q, %v", i, slot, err)
				return false
			}
		}
		return true
	})
	s := struct{ Warnings []string }{}
	if err := getJSON(from(homes["0"].addr), c.URL+"/cluster"+homes["0"].query, &s); err != nil || len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "1") {
		t.Errorf("/cluster warns %q, %v", s.Warnings, err)
	}

	_ = syscall.Kill(pid, syscall.SIGCONT)
	served, told := 0, 0
	for _, conn := range waiting {
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		switch {
		case errors.Is(err, syscall.ECONNRESET):
			t.Errorf("a waiting connection was reset")
		case err != nil:
			t.Errorf("a waiting connection: %v", err)
		case resp.StatusCode == http.StatusOK:
			served++
		case resp.StatusCode == http.StatusServiceUnavailable:
			told++
		}
	}
	if slot, err := ask(homes["1"]); err != nil || slot != "1" {
		t.Errorf("a client of slot 1 is answered by %q: %v", slot, err)
	}
	if c.Worker(1) != pid {
		t.Error("the worker was replaced")
	}
	t.Logf("%d connections waited for the stalled worker and were served when it went on; %d were told to come again; others waited for %v at the most",
		served, told+1, slowest.Round(time.Millisecond))
}
