package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/samedoor/samedoor/internal/doctor"
)

type doctorCmd struct {
	URL         string        `arg:"" help:"Page, origin or endpoint of the deployment."`
	Quick       bool          `help:"Leave out what takes longer than seconds."`
	JSON        bool          `name:"json" help:"Report as JSON." xor:"format"`
	JUnit       bool          `name:"junit" help:"Report as JUnit XML, for CI." xor:"format"`
	MD          bool          `name:"md" help:"Report as Markdown, for an issue." xor:"format"`
	Path        string        `help:"Path of the endpoint, where it is not /socket.io/." placeholder:"PATH"`
	Namespace   string        `default:"/" help:"Namespace to connect to." placeholder:"NAME"`
	Auth        string        `help:"What to hand over when connecting to it." placeholder:"JSON"`
	Header      []string      `help:"Header to send with every request; may be repeated." placeholder:"NAME:VALUE" sep:"none"`
	Cookie      []string      `help:"Cookie to send with every request; may be repeated." placeholder:"NAME=VALUE" sep:"none"`
	Bearer      string        `help:"Token to send as Authorization: Bearer." placeholder:"TOKEN"`
	Origin      string        `help:"Page of another origin that is to connect." placeholder:"ORIGIN"`
	Credentials bool          `help:"That page sends cookies (withCredentials)."`
	From        []string      `help:"Source addresses of this machine to come from." placeholder:"ADDR"`
	Proxy       string        `help:"Write fixes for this proxy, not for the one in sight." placeholder:"NAME"`
	Insecure    bool          `help:"Go on with a certificate that does not verify."`
	Sessions    int           `default:"4" help:"Sessions to test stickiness with." placeholder:"N"`
	Concurrency int           `default:"4" help:"Requests at once." placeholder:"N"`
	Requests    int           `default:"150" help:"Requests in all, at most." placeholder:"N"`
	Timeout     time.Duration `default:"5s" help:"Time for an answer." placeholder:"TIME"`
	Hold        time.Duration `default:"65s" help:"How long an idle WebSocket is kept." placeholder:"TIME"`
	Payload     int           `default:"1048576" help:"Largest message tried, in bytes." placeholder:"BYTES"`
	Watch       time.Duration `help:"Repeat after this time, and report what changes." placeholder:"TIME"`
}

func (*doctorCmd) Help() string {
	return `Connects to a Socket.IO server as clients do, from outside, and says what is wrong and how to mend it. Any server, any proxy; nothing is changed there.

  samedoor doctor https://chat.example
  samedoor doctor --quick --json http://127.0.0.1:8080
  samedoor doctor --namespace /chat --auth '{"token":"…"}' https://chat.example

Exit code 0: healthy, perhaps with warnings. 1: something answers, but is wrong. 2: bad usage, or nothing to connect to.`
}

var (
	headerName  = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
	headerValue = regexp.MustCompile(`^[\t\x20-\x7e\x80-\x{10ffff}]*$`)
)

// A silentError ends the program with a code; what there is to say was said.
type silentError int

func (e silentError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func (c *doctorCmd) Run(out io.Writer) error {
	o, err := c.options()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal kills
	if c.Watch > 0 {
		return c.watch(ctx, o, out)
	}
	end := progress(&o, os.Stderr)
	r, err := doctor.Run(ctx, o)
	end()
	if err != nil {
		return usageError{err}
	}
	if err := c.print(r, out); err != nil {
		return err
	}
	if r.Exit != 0 {
		return silentError(r.Exit)
	}
	return nil
}

func (c *doctorCmd) options() (o doctor.Options, err error) {
	for _, n := range []struct {
		flag      string
		n, lo, hi int
	}{{"sessions", c.Sessions, 1, 64}, {"concurrency", c.Concurrency, 1, 64}, {"requests", c.Requests, 1, 10_000}, {"payload", c.Payload, 1, 1 << 30}} {
		if n.n < n.lo || n.n > n.hi {
			return o, usage("--%s %d: choose %d to %d", n.flag, n.n, n.lo, n.hi)
		}
	}
	if need := 5*c.Sessions + 4; c.Sessions > 4 && c.Requests < need {
		return o, usage("--sessions %d takes %d requests or more: raise --requests %d", c.Sessions, need, c.Requests)
	}
	for _, d := range []struct {
		flag   string
		d      time.Duration
		lo, hi time.Duration
	}{{"timeout", c.Timeout, 10 * time.Millisecond, 5 * time.Minute}, {"hold", c.Hold, time.Millisecond, time.Hour}} {
		if d.d < d.lo || d.d > d.hi {
			return o, usage("--%s %v: choose %v to %v", d.flag, d.d, d.lo, d.hi)
		}
	}
	if c.Watch != 0 && c.Watch < time.Second {
		return o, usage("--watch %v: choose 1s or more", c.Watch)
	}
	if c.Watch != 0 && (c.JUnit || c.MD) {
		return o, usage("--watch prints changes, as text or with --json: drop --junit and --md")
	}
	var auth json.RawMessage
	if c.Auth != "" {
		var object map[string]any
		if json.Unmarshal([]byte(c.Auth), &object) != nil || object == nil { // not repeated: it may be secret
			return o, usage("--auth is not a JSON object: write it like '{\"token\":\"…\"}'")
		}
		auth = json.RawMessage(c.Auth)
	}
	h := http.Header{}
	for _, v := range c.Header {
		name, value, ok := strings.Cut(v, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || !headerName.MatchString(name) || !headerValue.MatchString(value) {
			return o, usage("--header is not a header: write it like 'X-Team: blue'")
		}
		h.Add(name, value)
	}
	for _, v := range c.Cookie {
		if name, _, ok := strings.Cut(v, "="); !ok || name == "" || !headerValue.MatchString(v) {
			return o, usage("--cookie is not a cookie: write it like 'name=value'")
		}
	}
	if len(c.Cookie) > 0 {
		h.Set("Cookie", strings.Join(append(h["Cookie"], c.Cookie...), "; "))
	}
	if c.Bearer != "" {
		if !headerValue.MatchString(c.Bearer) {
			return o, usage("--bearer is not a token: it can't stand in a header")
		}
		h.Set("Authorization", "Bearer "+c.Bearer)
	}
	var from []netip.Addr
	for _, v := range c.From {
		a, err := netip.ParseAddr(strings.TrimSpace(v))
		if err != nil {
			return o, usage("--from %q is not an address: write it like 192.0.2.7", v)
		}
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: a.AsSlice(), Zone: a.Zone()})
		if err != nil {
			return o, usage("--from %v is no address of this machine", a)
		}
		l.Close()
		from = append(from, a)
	}
	return doctor.Options{
		URL: c.URL, Path: c.Path, Namespace: c.Namespace, Auth: auth, Header: h,
		Origin: c.Origin, Creds: c.Credentials, From: from, Proxy: c.Proxy, Insecure: c.Insecure, Quick: c.Quick,
		Sessions: c.Sessions, Concurrency: c.Concurrency, Requests: c.Requests,
		Timeout: c.Timeout, Hold: c.Hold, Payload: c.Payload,
		Agent: "samedoor-doctor/" + version + " (+https://github.com/samedoor/samedoor)",
	}, nil
}

func (c *doctorCmd) print(r *doctor.Report, out io.Writer) error {
	switch {
	case c.JSON:
		return r.JSON(out, c.Watch == 0)
	case c.JUnit:
		return r.JUnit(out)
	case c.MD:
		return r.Markdown(out)
	}
	width, terminal := columns(out)
	return r.Text(out, doctor.Style{Width: width, Color: terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"})
}

// watch examines again and again, until a signal; the exit code is the last
// examination's.
func (c *doctorCmd) watch(ctx context.Context, o doctor.Options, out io.Writer) error {
	var before *doctor.Report
	for {
		r, err := doctor.Run(ctx, o)
		if err != nil {
			return usageError{err}
		}
		if ctx.Err() == nil { // what a signal cut short tells nothing
			switch {
			case c.JSON:
				err = r.JSON(out, false)
			case before == nil:
				err = c.print(r, out)
			default:
				for _, line := range r.Changes(before) {
					_, err = fmt.Fprintf(out, "%s %s\n", time.Now().Format("2006-01-02 15:04:05 Z07:00"), line)
				}
			}
			if err != nil {
				return err
			}
			before = r
		}
		select {
		case <-ctx.Done():
			if before == nil {
				return silentError(1)
			}
			if before.Exit != 0 {
				return silentError(before.Exit)
			}
			return nil
		case <-time.After(c.Watch):
		}
	}
}

// progress shows what is under way in a line that is gone in the end; only on
// a terminal.
func progress(o *doctor.Options, w *os.File) (end func()) {
	width, terminal := columns(w)
	if !terminal || os.Getenv("TERM") == "dumb" {
		return func() {}
	}
	var (
		mu    sync.Mutex
		under []string
		done  int
	)
	start, all := time.Now(), len(doctor.Checks())
	show := func() {
		line := fmt.Sprintf("  %d of %d · %s", done, all, strings.Join(under, ", "))
		if d := time.Since(start); d > 3*time.Second {
			line += fmt.Sprintf(" · %.0f s", d.Seconds())
		}
		if r := []rune(line); len(r) > max(0, width-1) {
			line = string(r[:max(0, width-2)]) + "…"
		}
		fmt.Fprintf(w, "\r\x1b[K%s", line)
	}
	o.Progress = func(name string, f *doctor.Finding) {
		mu.Lock()
		defer mu.Unlock()
		if f == nil {
			under = append(under, name)
		} else {
			done++
			for i, u := range under {
				if u == name {
					under = append(under[:i:i], under[i+1:]...)
					break
				}
			}
		}
		show()
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Second):
				mu.Lock()
				show()
				mu.Unlock()
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
		fmt.Fprint(w, "\r\x1b[K")
	}
}

// columns tells how wide a terminal is, if it is one.
func columns(w io.Writer) (width int, terminal bool) {
	f, ok := w.(*os.File)
	if !ok {
		return 0, false
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return 0, false
	}
	_ = conn.Control(func(fd uintptr) { // unlike Fd, leaves the file as it is
		if size, err := unix.IoctlGetWinsize(int(fd), unix.TIOCGWINSZ); err == nil {
			width, terminal = int(size.Col), true
		}
	})
	if terminal && width == 0 {
		width = 80
	}
	return width, terminal
}
