package clients

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// soak is for what takes longer than anybody wants to wait.
var soak = os.Getenv("SOAK") != ""

// need skips a test where a program is not installed, or fails it if
// E2E_REQUIRED is set.
func need(t testing.TB, program string) {
	t.Helper()
	path := os.Getenv("PATH") + ":/usr/sbin:/usr/local/sbin" // nginx is often there
	for _, dir := range filepath.SplitList(path) {
		if s, err := os.Stat(filepath.Join(dir, program)); err == nil && s.Mode()&0o111 != 0 {
			return
		}
	}
	lack(t, program+" is not installed: make tools")
}

func lack(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("E2E_REQUIRED") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// config is what the Node script is told first.
type config struct {
	Mode      string `json:"mode"`
	URL       string `json:"url"`
	Clients   int    `json:"clients"`
	Addresses int    `json:"addresses,omitempty"` // 127.0.i.i; 0: the system's choice
	Route     bool   `json:"route,omitempty"`     // ask /route where to connect
	Limit     int    `json:"limit,omitempty"`     // ms until a client gives up
	Abreast   int    `json:"abreast,omitempty"`   // at most so many at a time
	KeepAlive bool   `json:"keepAlive,omitempty"` // every other client reuses its connections
	Room      string `json:"room,omitempty"`
	From      string `json:"offset,omitempty"` // where in the room's history to begin
}

// A party is the Node process that drives the clients.
type party struct {
	t     testing.TB
	in    io.WriteCloser
	lines chan []byte
	mu    sync.Mutex // one question at a time
}

// invite starts the clients. The process ends with the test.
func invite(t testing.TB, c config) *party {
	t.Helper()
	need(t, "node")
	_, here, _, _ := runtime.Caller(0)
	dir := filepath.Dir(here)
	if _, err := os.Stat(filepath.Join(dir, "../../web/node_modules/socket.io-client")); err != nil {
		lack(t, "the Socket.IO client of npm is not there: make assets")
	}
	cmd := exec.Command("node", filepath.Join(dir, "clients.mjs"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaints strings.Builder
	cmd.Stderr = &complaints
	p := &party{t: t, in: in, lines: make(chan []byte, 1)}
	started := make(chan error)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// Pdeathsig follows the thread that starts it: this one stays until the
		// end. Unlocked then, it lives on: others may have started something, too.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		r := bufio.NewReaderSize(out, 1<<20)
		for {
			line, err := r.ReadBytes('\n')
			if err != nil {
				break
			}
			p.lines <- line
		}
		close(p.lines)
		_ = cmd.Wait()
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		go func() {
			for range p.lines { // so that it can end
			}
		}()
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
		if complaints.Len() > 0 {
			t.Errorf("the clients complain: %s", complaints.String())
		}
	})
	p.ask(c, nil)
	return p
}

// ask sends a line and decodes the answer.
func (p *party) ask(what, into any) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	b, err := json.Marshal(what)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.in.Write(append(b, '\n')); err != nil {
		p.t.Fatalf("ask the clients: %v", err)
	}
	select {
	case line, ok := <-p.lines:
		if !ok {
			p.t.Fatal("the clients' process has ended")
		}
		if into == nil {
			return
		}
		if err := json.Unmarshal(line, into); err != nil {
			p.t.Fatalf("%v: %.200s", err, line)
		}
	case <-time.After(120 * time.Second):
		p.t.Fatalf("no answer to %s", b)
	}
}

// do gives a command to live clients, with its arguments as pairs.
func (p *party) do(what string, args ...any) {
	p.t.Helper()
	p.get(what, nil, args...)
}

func (p *party) get(what string, into any, args ...any) {
	p.t.Helper()
	m := map[string]any{"do": what}
	for i := 0; i+1 < len(args); i += 2 {
		m[args[i].(string)] = args[i+1]
	}
	p.ask(m, into)
}

// report is what one live client tells of itself.
type report struct {
	I           int
	Address     string
	SID         string
	Slot        int
	Here        bool // joined
	Welcomes    int
	Truncated   int
	Stuck       int // how often its probe ended with polling paused for it
	Disconnects []string
	Failed      map[string]int // why connecting failed
	Errors      map[string]int // of connections, by code
	Statuses    map[int]int
	Transport   string
	Waiting     int // messages not acknowledged yet
	Said        int
	Acked       int
	Seen        int
	Typed       []int64 // ms since 1970
	Echoes      struct {
		Sent, Answered, Wrong int
		Worst                 int // ms
	}
}

func (p *party) reports() (all []report) {
	p.t.Helper()
	p.get("report", &all)
	return all
}

// lively starts live clients and waits until all have joined, over WebSockets.
func lively(t testing.TB, c config) *party {
	t.Helper()
	c.Mode = "live"
	p := invite(t, c)
	p.until(20*time.Second, "all clients joined over a WebSocket", func(r report) bool {
		return r.Here && r.Transport == "websocket"
	})
	return p
}

// until waits until ok holds for every client.
func (p *party) until(limit time.Duration, what string, ok func(report) bool) {
	p.t.Helper()
	for end := time.Now().Add(limit); ; time.Sleep(100 * time.Millisecond) {
		var missing []report
		for _, r := range p.reports() {
			if !ok(r) {
				missing = append(missing, r)
			}
		}
		if len(missing) == 0 {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("not within %v: %s: %d clients are not so, such as %+v", limit, what, len(missing), missing[0])
		}
	}
}
