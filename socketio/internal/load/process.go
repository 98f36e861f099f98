package load

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Usage is what a server process has used.
type Usage struct {
	CPU        int64 // nanoseconds of user and system time
	RSS        int64 // bytes
	Goroutines int
	FDs        int
}

// UsageHandler tells this process' Usage. ?gc collects garbage first.
func UsageHandler(w http.ResponseWriter, r *http.Request) {
	if r.URL.RawQuery == "gc" {
		for range 3 {
			runtime.GC()
		}
		debug.FreeOSMemory()
	}
	var ru syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &ru)
	u := Usage{CPU: ru.Utime.Nano() + ru.Stime.Nano(), Goroutines: runtime.NumGoroutine()}
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		pages, _ := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
		u.RSS = pages * int64(os.Getpagesize())
	}
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		u.FDs = len(fds)
	}
	_ = json.NewEncoder(w).Encode(u)
}

// A Process is a server in a process of its own, so that its CPU time can be
// told from the clients'.
type Process struct {
	Addr string
	cmd  *exec.Cmd
}

// Start starts a server, which must print its address on a line of its own.
func Start(tb testing.TB, cmd *exec.Cmd) *Process {
	tb.Helper()
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	sc := bufio.NewScanner(out)
	for sc.Scan() {
		if addr, ok := strings.CutPrefix(sc.Text(), "listening "); ok {
			return &Process{Addr: addr, cmd: cmd}
		}
	}
	tb.Fatal("the server told no address")
	return nil
}

// Usage asks the server.
func (p *Process) Usage(tb testing.TB, gc bool) (u Usage) {
	tb.Helper()
	url := "http://" + p.Addr + "/usage"
	if gc {
		url += "?gc"
	}
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&u); err != nil {
		tb.Fatal(fmt.Errorf("usage: %w", err))
	}
	return u
}
