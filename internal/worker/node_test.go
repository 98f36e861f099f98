package worker

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/samedoor/samedoor/internal/bus"
	"github.com/samedoor/samedoor/internal/control"
	"github.com/samedoor/samedoor/internal/engines"
	"github.com/samedoor/samedoor/strategies"
)

// forwarding is a strategy that does nothing but forward.
var forwarding = strategies.Info{Name: "test", New: func(strategies.Config) strategies.Strategy { return forwards{} }}

type forwards struct{}

func (forwards) Sockets(int) (a netip.AddrPort, s [][]*os.File, err error) { return a, s, nil }
func (forwards) Front(context.Context) error                               { return nil }
func (forwards) Route(w strategies.Worker) http.Handler                    { return w.Neighbours }
func (forwards) Page(*http.Request) strategies.Page                        { return strategies.SameOrigin }

const frontSecret = "proof-of-the-front"

// A run is what workers of one master have in common.
type run struct {
	t    testing.TB
	boot control.Boot
}

func newRun(t testing.TB) *run {
	b, err := bus.StartEmbedded()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	dir, err := os.MkdirTemp("", "samedoor-test-") // t.TempDir may be too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &run{t, control.Boot{Strategy: "test", Engine: engines.Native, Host: "test", Bus: b.URL(), Dir: dir, Hash: "rendezvous", Rate: 20, FrontSecret: frontSecret}}
}

func (r *run) bootOf(slot int) control.Boot {
	b := r.boot
	b.Slot, b.ID = slot, strconv.Itoa(slot)+"-test"
	return b
}

// A node is one worker of a run, in this process.
type node struct {
	*Worker
	url      string
	listener net.Listener
	stop     func() // as SIGTERM does; it waits
}

func (r *run) start(slot int, change ...func(*node)) *node {
	r.t.Helper()
	n, up, err := serveNode(r.bootOf(slot), slog.New(slog.DiscardHandler), change...)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(n.stop)
	<-up
	return n
}

func serveNode(boot control.Boot, log *slog.Logger, change ...func(*node)) (*node, <-chan struct{}, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	boot.Public = l.Addr().String()
	w, err := New(boot, forwarding, log)
	if err != nil {
		l.Close()
		return nil, nil, err
	}
	n := &node{Worker: w, url: "http://" + boot.Public, listener: l}
	for _, f := range change {
		f(n)
	}
	ctx, cancel := context.WithCancel(context.Background())
	up, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		if err := w.Run(ctx, []net.Listener{n.listener}, nil, func() { close(up) }); err != nil {
			log.Error("a worker ended", "error", err)
		}
	}()
	n.stop = func() { cancel(); <-ended }
	return n, up, nil
}

// childVariable makes the test binary a worker: its Boot, as JSON.
const childVariable = "SAMEDOOR_TEST_WORKER"

func TestMain(m *testing.M) {
	if boot := os.Getenv(childVariable); boot != "" {
		child(boot)
		return
	}
	os.Exit(m.Run())
}

// child serves, tells its address in a line, and for each line that it is sent
// the CPU time it has taken so far, in nanoseconds.
func child(boot string) {
	var b control.Boot
	if err := json.Unmarshal([]byte(boot), &b); err != nil {
		panic(err)
	}
	n, up, err := serveNode(b, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})), doorThat(os.Getenv("PROXY_ONLY") == ""))
	if err != nil {
		panic(err)
	}
	<-up
	fmt.Println(n.url)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var u unix.Rusage
		_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
		fmt.Println(u.Utime.Nano() + u.Stime.Nano())
	}
}

// A process is one worker of a run, in a process of its own.
type process struct {
	t    testing.TB
	url  string
	cmd  *exec.Cmd
	say  *os.File
	hear *bufio.Scanner
}

func (r *run) spawn(slot int, env ...string) *process {
	r.t.Helper()
	boot, _ := json.Marshal(r.bootOf(slot))
	p := &process{t: r.t, cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(append(os.Environ(), childVariable+"="+string(boot)), env...)
	p.cmd.Stderr = os.Stderr
	in, say, err := os.Pipe() // its end ends the child, even if we are killed
	if err != nil {
		r.t.Fatal(err)
	}
	p.cmd.Stdin, p.say = in, say
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	in.Close()
	r.t.Cleanup(p.end)
	p.hear = bufio.NewScanner(out)
	if !p.hear.Scan() {
		r.t.Fatal("the worker said nothing")
	}
	p.url = p.hear.Text()
	return p
}

func (p *process) end() {
	p.say.Close()
	_ = p.cmd.Wait()
}

// cpu returns the time that the process has taken so far.
func (p *process) cpu() time.Duration {
	p.t.Helper()
	if _, err := p.say.WriteString("\n"); err != nil || !p.hear.Scan() {
		p.t.Fatalf("the worker at %s is gone", p.url)
	}
	var ns int64
	if _, err := fmt.Sscan(p.hear.Text(), &ns); err != nil {
		p.t.Fatal(err)
	}
	return time.Duration(ns)
}

// A line is one client's connection, on which requests are written as they are.
type line struct {
	net.Conn
	r *bufio.Reader
}

func dial(t testing.TB, url string) *line {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(60 * time.Second))
	return &line{c, bufio.NewReader(c)}
}

// secure begins TLS on it.
func secure(l *line) *line {
	c := tls.Client(l.Conn, &tls.Config{InsecureSkipVerify: true})
	return &line{c, bufio.NewReader(c)}
}

func (l *line) write(t testing.TB, text string) {
	t.Helper()
	if _, err := l.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// An answer is what came back.
type answered struct {
	status int
	body   string
	header http.Header
	close  bool
}

func (l *line) read(t testing.TB) answered {
	t.Helper()
	a, err := l.next()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (l *line) next() (a answered, err error) {
	resp, err := http.ReadResponse(l.r, nil)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	var b strings.Builder
	_, err = bufio.NewReader(resp.Body).WriteTo(&b)
	return answered{resp.StatusCode, b.String(), resp.Header, resp.Close}, err
}

// Requests as they stand on the wire.
func get(sid string, headers ...string) string { return request("GET", sid, "", headers) }
func post(sid, body string, headers ...string) string {
	return request("POST", sid, body, append(headers, fmt.Sprintf("Content-Length: %d", len(body))))
}

func request(method, sid, body string, headers []string) string {
	at := "/socket.io/?EIO=4&transport=polling"
	if sid != "" {
		at += "&sid=" + sid
	}
	return method + " " + at + " HTTP/1.1\r\n" + strings.Join(append([]string{"Host: samedoor.test"}, headers...), "\r\n") + "\r\n\r\n" + body
}

// open begins a session at a worker, and joins the namespace /ws.
func open(t testing.TB, url string) (sid string) {
	t.Helper()
	l := dial(t, url)
	defer l.Close()
	l.write(t, get(""))
	var hello struct{ SID string }
	if a := l.read(t); a.status != 200 || json.Unmarshal([]byte(a.body[1:]), &hello) != nil {
		t.Fatalf("open: %d %s", a.status, a.body)
	}
	l.write(t, post(hello.SID, "40/ws,"))
	if a := l.read(t); a.status != 200 {
		t.Fatalf("join: %d %s", a.status, a.body)
	}
	l.write(t, get(hello.SID))
	if a := l.read(t); a.status != 200 || !strings.HasPrefix(a.body, "40") {
		t.Fatalf("join: %d %s", a.status, a.body)
	}
	return hello.SID
}
