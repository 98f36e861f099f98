package doctor_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/clustertest"
	"github.com/samedoor/samedoor/internal/doctor"
	"github.com/samedoor/samedoor/internal/doctor/doctortest"
)

// A subject is a deployment to be examined: real processes on loopback.
type subject struct {
	name  string
	start func(t *testing.T, w *world) (url string)
	with  doctor.Options // URL is what start returns; quick, unless full
	full  bool
	soak  bool // full, and takes longer than tests should: SOAK=1

	// What the doctor must find. Checks that are not named must be ok, or
	// skipped; named ones must have the status and, where given, these words.
	want map[string]string // "failure", "warning: words in the title"
	exit int
	// Further facts, where set.
	affinity string
	workers  int // within one
	proxy    string

	// mended applies the printed fix of the named check to the same
	// deployment, which must then be healthy.
	mend   string
	mended func(t *testing.T, w *world, fix string) (url string)
}

// A world has the workers that all proxies share: Socket.IO servers of Node's.
type world struct {
	app1, app2 string

	mu      sync.Mutex
	applied map[string]bool // printed configurations that mended something
}

// fill puts real workers into a printed configuration.
func (w *world) fill(config string) string {
	return strings.NewReplacer("app1:3000", w.app1, "app2:3000", w.app2).Replace(config)
}

func newWorld(t testing.TB) *world {
	host := doctortest.Host(t)
	doctortest.Node(t, doctortest.NodeConfig{Kind: "single", Host: host, Ports: []int{3001, 3002}})
	return &world{app1: host + ":3001", app2: host + ":3002", applied: map[string]bool{}}
}

func TestMatrix(t *testing.T) {
	w := newWorld(t)
	t.Run("of", func(t *testing.T) { // the world ends after all of them
		for _, s := range slices.Concat(ours, nodes, nginxes, haproxies, apaches, caddies, oddities) {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				s.test(t, w)
			})
		}
	})
	w.allApplied(t)
}

// allApplied tells of printed configurations that no case has applied, though
// their proxy is here, if all cases have run.
func (w *world) allApplied(t *testing.T) {
	if run := flag.Lookup("test.run").Value.String(); strings.Contains(run, "/") || os.Getenv("E2E_REQUIRED") == "" {
		return
	}
	for _, proxy := range []string{"any", "nginx", "haproxy", "apache", "caddy"} {
		files, err := filepath.Glob("fixes/*/" + proxy + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !w.applied[string(b)] {
				t.Errorf("no case applies %s", file)
			}
		}
	}
}

func (s subject) test(t *testing.T, w *world) {
	if s.soak && os.Getenv("SOAK") == "" {
		t.Skip("takes minutes: SOAK=1")
	}
	r := s.examine(t, s.start(t, w))
	var wrong []string
	for _, f := range r.Findings {
		want, named := s.want[f.Check]
		status, words, _ := strings.Cut(want, ": ")
		switch {
		case !named && (f.Status == doctor.OK || f.Status == doctor.Skipped):
		case named && string(f.Status) == status && strings.Contains(f.Title, words):
		default:
			wrong = append(wrong, fmt.Sprintf("%s is %s (%s), want %s", f.Check, f.Status, f.Title, want))
		}
	}
	if r.Exit != s.exit || r.Healthy != (s.exit == 0) {
		wrong = append(wrong, fmt.Sprintf("exit code %d, want %d", r.Exit, s.exit))
	}
	if s.exit == 0 && !s.full && !s.soak && r.Affinity != "cookie" && len(s.with.From) == 0 && s.with.Origin == "" && r.Requests >= 50 {
		wrong = append(wrong, fmt.Sprintf("%d requests to a healthy server", r.Requests))
	}
	if s.affinity != "" && r.Affinity != s.affinity {
		wrong = append(wrong, fmt.Sprintf("affinity %s, want %s", r.Affinity, s.affinity))
	}
	if s.workers > 0 && (r.Workers == nil || max(r.Workers.About-s.workers, s.workers-r.Workers.About) > 1) {
		wrong = append(wrong, fmt.Sprintf("workers %+v, want %d within one", r.Workers, s.workers))
	}
	if s.proxy != "" && r.Proxy != s.proxy {
		wrong = append(wrong, fmt.Sprintf("proxy %q, want %q", r.Proxy, s.proxy))
	}
	if s.exit == 0 && !s.full && !s.soak && r.Seconds > 3 && os.Getenv("SOAK") != "" {
		wrong = append(wrong, fmt.Sprintf("took %.1f s", r.Seconds))
	}
	if len(wrong) > 0 {
		t.Errorf("%s\n%s", strings.Join(wrong, "\n"), text(t, r))
	}
	if s.mended == nil {
		return
	}
	f := r.Find(s.mend)
	if f.Fix == nil || f.Fix.Config == "" {
		t.Fatalf("%s prints no fix\n%s", s.mend, text(t, r))
	}
	w.mu.Lock()
	w.applied[f.Fix.Config] = true
	w.mu.Unlock()
	after := s.examine(t, s.mended(t, w, w.fill(f.Fix.Config)))
	if after.Exit != 0 || !after.Healthy {
		t.Errorf("not healthy with the printed fix\n%s\n%s", f.Fix.Config, text(t, after))
	}
}

func (s subject) examine(t *testing.T, url string) *doctor.Report {
	t.Helper()
	o := s.with
	o.URL, o.Quick = url, !s.full && !s.soak
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second // a machine busy with other tests
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	r, err := doctor.Run(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if dir := os.Getenv("DOCTOR_REPORTS"); dir != "" { // to look at them
		b, _ := json.MarshalIndent(r, "", " ")
		_ = os.WriteFile(filepath.Join(dir, strings.ReplaceAll(t.Name(), "/", "_")+".json"), b, 0o644)
		_ = os.WriteFile(filepath.Join(dir, strings.ReplaceAll(t.Name(), "/", "_")+".txt"), []byte(text(t, r)), 0o644)
	}
	return r
}

func text(t *testing.T, r *doctor.Report) string {
	var b strings.Builder
	if err := r.Text(&b, doctor.Style{Width: 100}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// samedoor is our own server with these flags.
func samedoor(args ...string) func(*testing.T, *world) string {
	return func(t *testing.T, _ *world) string { return clustertest.Start(t, args...).URL }
}

var notSticky = map[string]string{"sticky": "failure: not sticky"}

var ours = []subject{
	{name: "samedoor none", start: samedoor("--strategy", "none"), exit: 1, want: notSticky, affinity: "connection", workers: 4},
	{name: "samedoor nginx", start: samedoor("--strategy", "nginx")},
	{name: "samedoor nginx strict", start: samedoor("--strategy", "nginx", "--strict")},
	{name: "samedoor server", start: samedoor("--strategy", "server")},
	{name: "samedoor server strict, pages' address", start: samedoor("--strategy", "server", "--strict"), exit: 1, want: notSticky, workers: 4},
	{name: "samedoor master", start: samedoor("--strategy", "master"), affinity: "every"},
	{name: "samedoor master strict", start: samedoor("--strategy", "master", "--strict")},
	{name: "samedoor redis", start: samedoor("--strategy", "redis")},
}

func node(c doctortest.NodeConfig) func(*testing.T, *world) string {
	return func(t *testing.T, _ *world) string { return "http://" + doctortest.Node(t, c) }
}

var shortPing = map[string]any{"pingInterval": 2000, "pingTimeout": 1000}

// onePortEach does what the printed fix asks of workers on one machine, as pm2
// starts them: the first listens on port 3000, the second on the next.
func onePortEach(t *testing.T, _ *world, fix string) string {
	machine, addr := doctortest.Host(t), address(t)
	doctortest.Node(t, doctortest.NodeConfig{Kind: "single", Host: machine, Ports: []int{3000, 3001}})
	conf := strings.NewReplacer("127.0.0.1:", machine+":", "listen 80;", "listen "+addr+";").Replace(fix)
	servers := regexp.MustCompile(`(?m)^\s*server (\S+);`).FindAllStringSubmatch(conf, -1)
	if len(servers) < 2 {
		t.Errorf("%d workers in %s", len(servers), conf)
	}
	for _, s := range servers { // nginx would do without one
		c, err := net.Dial("tcp", s[1])
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	doctortest.Nginx(t, addr, conf)
	return "http://" + addr
}

var nodes = []subject{
	{name: "node", start: node(doctortest.NodeConfig{Kind: "single"}), affinity: "every"},
	{name: "node, everything", full: true, with: doctor.Options{Hold: 5 * time.Second},
		start: node(doctortest.NodeConfig{Kind: "single", Options: shortPing})},
	{name: "node, one request at a time", start: node(doctortest.NodeConfig{Kind: "single"}), with: doctor.Options{Concurrency: 1}},
	{name: "node, one session", start: node(doctortest.NodeConfig{Kind: "single"}), with: doctor.Options{Sessions: 1}},
	{name: "node, with the usual times", soak: true, start: node(doctortest.NodeConfig{Kind: "single"})},
	{name: "node cluster of 4", start: node(doctortest.NodeConfig{Kind: "cluster", Workers: 4}), exit: 1, want: notSticky,
		affinity: "connection", workers: 4, mend: "sticky", mended: onePortEach},
	{name: "node cluster of 2", start: node(doctortest.NodeConfig{Kind: "cluster", Workers: 2}), exit: 1, want: notSticky, workers: 2},
	{name: "node cluster of 7", start: node(doctortest.NodeConfig{Kind: "cluster", Workers: 7}), exit: 1, want: notSticky, workers: 7},
	{name: "node with a token, none given", start: node(doctortest.NodeConfig{Kind: "single", Token: "s3cret"}),
		want: map[string]string{"namespace": "warning: who are you?"}},
	{name: "node with a token", start: node(doctortest.NodeConfig{Kind: "single", Token: "s3cret"}),
		with: doctor.Options{Auth: json.RawMessage(`{"token":"s3cret"}`)}},
	{name: "node, another namespace", start: node(doctortest.NodeConfig{Kind: "single"}), with: doctor.Options{Namespace: "/chat"}},
	{name: "node, no such namespace", start: node(doctortest.NodeConfig{Kind: "single"}), with: doctor.Options{Namespace: "/nope"},
		exit: 1, want: map[string]string{"namespace": "failure: Invalid namespace"}},
	{name: "node without WebSocket", start: node(doctortest.NodeConfig{Kind: "single", Options: map[string]any{"transports": []string{"polling"}}}),
		want: map[string]string{"handshake": "warning: no upgrade"}},
	{name: "node without polling", start: node(doctortest.NodeConfig{Kind: "single", Options: map[string]any{"transports": []string{"websocket"}}}),
		exit: 1, want: map[string]string{"protocol": "failure: polling is not offered"}},
	{name: "node, old clients too", start: node(doctortest.NodeConfig{Kind: "single", Options: map[string]any{"allowEIO3": true}})},
	{name: "socket.io 2", start: node(doctortest.NodeConfig{Kind: "v2"}), exit: 1, want: map[string]string{"protocol": "failure: Engine.IO 3 only"}},
	{name: "node, page of another origin", start: node(doctortest.NodeConfig{Kind: "single"}), with: doctor.Options{Origin: "https://chat.example"},
		exit: 1, want: map[string]string{"cors": "failure: may not read"}},
	{name: "node, page of an allowed origin", with: doctor.Options{Origin: "https://chat.example", Creds: true},
		start: node(doctortest.NodeConfig{Kind: "single", Options: map[string]any{"cors": map[string]any{"origin": "https://chat.example", "credentials": true}}})},
	{name: "node, endpoint elsewhere", start: node(doctortest.NodeConfig{Kind: "single", Options: map[string]any{"path": "/ws/socket.io"}}),
		exit: 1, want: map[string]string{"reachable": "failure: Engine.IO answers at /ws/socket.io/"}},
	{name: "node, endpoint elsewhere and given", with: doctor.Options{Path: "/ws/socket.io"},
		start: node(doctortest.NodeConfig{Kind: "single", Options: map[string]any{"path": "/ws/socket.io"}})},
}
