package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/samedoor/samedoor/internal/clustertest"
)

// What is measured in a round, and how many rounds there are.
const (
	costRounds      = 11
	costConnections = 960 // a request on each
	costRequests    = 9600
	costClients     = 96 // at once, each from an address of its own: a busy cluster. Fewer let processes fall
	// asleep between requests, and the more processes, the more often
)

// A target is what the clients talk to, and the processes that it costs.
type target struct {
	name string
	pid  int                      // of its first process: those it started count, too
	at   func(addr string) string // where a client from addr connects

	connection, request []time.Duration // CPU of each, by round
}

// BenchmarkCost tells what a strategy costs: CPU time of the whole cluster
// (master, workers, nginx) per connection and per request on a kept connection,
// over that of one process which serves directly. The clients' is not counted.
// Rounds go by turns, so that noise meets all alike; the medians are told.
//
// Goals: kernel 1.25 and 1.25, master 1.6 and 1.25, sid 1.7 and 1.3.
func BenchmarkCost(b *testing.B) {
	direct := serveDirectly(b)
	targets := []*target{direct}
	for _, s := range all {
		if _, err := exec.LookPath("nginx"); err != nil && s.Name == "nginx" {
			b.Log("nginx is not installed")
			continue
		}
		c := clustertest.Start(b, "--strategy", s.Name)
		targets = append(targets, &target{name: s.Name, pid: c.PID(), at: func(addr string) string {
			if s.Name != "server" {
				return c.Addr
			}
			return own(b, c, addr)
		}})
	}
	for range costRounds {
		for _, t := range targets {
			t.connection = append(t.connection, t.cost(b, costConnections, false))
			t.request = append(t.request, t.cost(b, costRequests, true))
		}
	}
	for _, t := range targets {
		b.Run(t.name, func(b *testing.B) {
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(t.connection, nil)/1e3, "µs/connection")
			b.ReportMetric(median(t.request, nil)/1e3, "µs/request")
			b.ReportMetric(median(t.connection, direct.connection), "x/connection")
			b.ReportMetric(median(t.request, direct.request), "x/request")
		})
	}
}

// median of d, or of the ratios d over by, round by round.
func median(d, by []time.Duration) float64 {
	v := make([]float64, len(d))
	for i := range d {
		if v[i] = float64(d[i]); by != nil {
			v[i] /= float64(by[i])
		}
	}
	slices.Sort(v)
	return v[len(v)/2]
}

// cost returns the target's CPU time for one of n requests, each on a
// connection of its own, or on one kept by each client.
func (t *target) cost(b *testing.B, n int, keep bool) time.Duration {
	b.Helper()
	var running sync.WaitGroup
	errs := make(chan error, costClients)
	begin := make(chan struct{})
	var ready sync.WaitGroup
	for i := range costClients {
		c := &client{from: fmt.Sprintf("127.0.%d.%d", 1+i, 1+i), keep: keep}
		c.to = t.at(c.from)
		ready.Add(1)
		running.Go(func() {
			err := error(nil)
			if keep { // the first request is the connection's
				err = c.ask()
			}
			ready.Done()
			<-begin
			for range n / costClients {
				if err == nil {
					err = c.ask()
				}
			}
			if err != nil {
				errs <- err
			}
			c.close()
		})
	}
	ready.Wait()
	before := cpu(b, t.pid)
	close(begin)
	running.Wait()
	spent := cpu(b, t.pid) - before
	select {
	case err := <-errs:
		b.Fatalf("%s: %v", t.name, err)
	default:
	}
	return spent / time.Duration(n/costClients*costClients)
}

// client sends requests.
type client struct {
	from, to string
	keep     bool
	conn     net.Conn
	buf      [4096]byte
}

// ask sends a request and reads the answer, on a new connection if there is none.
func (c *client) ask() (err error) {
	header := "Connection: close\r\n"
	if c.keep {
		header = ""
	}
	if c.conn == nil {
		d := net.Dialer{Timeout: 10 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(c.from)}}
		if c.conn, err = d.Dial("tcp", c.to); err != nil {
			return err
		}
	}
	_ = c.conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := c.conn.Write([]byte("GET /healthz HTTP/1.1\r\nHost: cost\r\n" + header + "\r\n")); err != nil {
		return err
	}
	n := 0
	for !bytes.HasSuffix(c.buf[:n], []byte("\r\n\r\nok")) {
		m, err := c.conn.Read(c.buf[n:])
		if err != nil {
			return fmt.Errorf("%q: %w", c.buf[:n], err)
		}
		n += m
	}
	if !c.keep {
		if _, err := c.conn.Read(c.buf[:]); err == nil {
			return fmt.Errorf("more than one answer")
		}
		c.close()
	}
	return nil
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// own is the worker's address that the page would tell.
func own(b *testing.B, c *clustertest.Cluster, addr string) string {
	b.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}}
	conn, err := d.Dial("tcp", c.Addr)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /route HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", c.Addr)
	var answer bytes.Buffer
	_, _ = answer.ReadFrom(conn)
	found := regexp.MustCompile(`"url":"http://([^"]+)"`).FindSubmatch(answer.Bytes())
	if found == nil {
		b.Fatalf("/route: %s", &answer)
	}
	return string(found[1])
}

// serveDirectly starts one process without a master.
func serveDirectly(b *testing.B) *target {
	b.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(clustertest.Binary(b), "worker", "--listen", "127.0.0.1:0")
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	w.Close()
	b.Cleanup(func() {
		_ = cmd.Process.Signal(unix.SIGTERM)
		_ = cmd.Wait()
		r.Close()
	})
	var log []byte
	for buf := make([]byte, 1024); ; {
		n, err := r.Read(buf)
		log = append(log, buf[:n]...)
		if found := regexp.MustCompile(`worker ready.* address=(\S+)`).FindSubmatch(log); found != nil {
			return &target{name: "direct", pid: cmd.Process.Pid, at: func(string) string { return string(found[1]) }}
		}
		if err != nil {
			b.Fatalf("worker: %v: %s", err, log)
		}
	}
}

// cpu returns the time that a process and those it started have run.
func cpu(b *testing.B, pid int) (sum time.Duration) {
	b.Helper()
	var ts unix.Timespec
	clock := int32(^pid<<3 | 2) // clock_getcpuclockid: all threads, those that have ended too, in nanoseconds
	if err := unix.ClockGettime(clock, &ts); err != nil {
		b.Fatalf("CPU time of %d: %v", pid, err)
	}
	sum = time.Duration(ts.Nano())
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		for _, child := range strings.Fields(string(text)) {
			n, _ := strconv.Atoi(child)
			sum += cpu(b, n)
		}
	}
	return sum
}
