// Package doctortest starts the servers and proxies that the doctor is tried
// on: real processes on loopback, each test with an address of its own, ended
// with the test.
package doctortest

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/logs/logstest"
)

// Port is where whatever is to be examined listens, at an address of its own.
const Port = 8765

var nextHost atomic.Int32

// Host returns a loopback address that no other test uses: tests of several
// processes at once differ in the pid.
func Host(t testing.TB) string {
	t.Helper()
	n := nextHost.Add(1)
	if n > 250 {
		t.Fatal("more than 250 hosts")
	}
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d", 64+pid/256%128, pid%256, n)
}

// need skips a test for want of a program, unless all of them must run.
func need(t testing.TB, name, path, install string) string {
	t.Helper()
	for _, p := range []string{path, "/usr/sbin/" + name, "/usr/bin/" + name} {
		if p == "" {
			continue
		}
		if found, err := exec.LookPath(p); err == nil {
			return found
		}
	}
	missing(t, "%s is not installed: %s", name, install)
	return ""
}

func missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("E2E_REQUIRED") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// A process is a server under test.
type process struct {
	cmd   *exec.Cmd
	out   logstest.Buffer
	ended chan struct{}
}

// start runs a program until the test ends. Its whole group is ended then:
// first politely. Should the tests themselves be killed, so is the process.
func start(t testing.TB, env []string, name string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(name, args...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	p.cmd.WaitDelay = time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		pid := p.cmd.Process.Pid
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.ended:
		case <-time.After(2 * time.Second):
		}
		_ = syscall.Kill(-pid, syscall.SIGKILL)
		<-p.ended
		if t.Failed() {
			t.Logf("%s says:\n%s", filepath.Base(name), p.out.String())
		}
	})
	return p
}

// listens waits until addr accepts connections.
func (p *process) listens(t testing.TB, addr string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			c.Close()
			return
		}
		select {
		case <-p.ended:
			t.Fatalf("%s ended: %s\n%s", p.cmd.Path, p.cmd.ProcessState, p.out.String())
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not listen on %s: %v\n%s", p.cmd.Path, addr, err, p.out.String())
		}
	}
}

// NodeConfig is what testdata/node/server.js is told.
type NodeConfig struct {
	Kind    string         `json:"kind"`
	Host    string         `json:"host"`
	Ports   []int          `json:"ports"`
	Workers int            `json:"workers,omitempty"`
	Options map[string]any `json:"options,omitempty"` // of socket.io
	Token   string         `json:"token,omitempty"`
	Cert    string         `json:"cert,omitempty"`
	Key     string         `json:"key,omitempty"`
	To      string         `json:"to,omitempty"`
}

// Node starts a server of Node's and returns host:port of its first port.
func Node(t testing.TB, c NodeConfig) string {
	t.Helper()
	if c.Host == "" {
		c.Host = Host(t)
	}
	if len(c.Ports) == 0 {
		c.Ports = []int{Port}
	}
	arg, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	runNode(t, "server.js", string(arg))
	return fmt.Sprintf("%s:%d", c.Host, c.Ports[0])
}

func nodeDir(t testing.TB) string {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	dir := filepath.Join(filepath.Dir(here), "..", "testdata", "node")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "socket.io", "package.json")); err != nil {
		missing(t, "Node's socket.io is not installed: make tools")
	}
	return dir
}

func runNode(t testing.TB, script, arg string) {
	t.Helper()
	dir := nodeDir(t)
	node := need(t, "node", "node", "apt-get install nodejs")
	p := start(t, nil, node, filepath.Join(dir, script), arg)
	for end := time.Now().Add(20 * time.Second); !strings.Contains(p.out.String(), "ready\n"); time.Sleep(10 * time.Millisecond) {
		select {
		case <-p.ended:
			t.Fatalf("node ended: %s\n%s", p.cmd.ProcessState, p.out.String())
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("node is not ready\n%s", p.out.String())
		}
	}
}

// Nginx runs nginx with what stands in its http block.
func Nginx(t testing.TB, addr, conf string) {
	t.Helper()
	bin := need(t, "nginx", os.Getenv("NGINX_BIN"), "apt-get install nginx")
	dir := t.TempDir()
	user := ""
	if os.Getuid() == 0 {
		user = "user root;\n"
	}
	path := write(t, dir, "nginx.conf", user+`daemon off;
worker_processes 1;
error_log stderr warn;
pid `+dir+`/nginx.pid;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path `+dir+`/body;
    proxy_temp_path `+dir+`/proxy;
    fastcgi_temp_path `+dir+`/fastcgi;
    uwsgi_temp_path `+dir+`/uwsgi;
    scgi_temp_path `+dir+`/scgi;
`+conf+`
}
`)
	start(t, nil, bin, "-p", dir, "-e", "stderr", "-c", path).listens(t, addr)
}

// HAProxy runs haproxy with a whole configuration.
func HAProxy(t testing.TB, addr, conf string) {
	t.Helper()
	bin := need(t, "haproxy", "haproxy", "apt-get install haproxy")
	start(t, nil, bin, "-db", "-f", write(t, t.TempDir(), "haproxy.cfg", conf)).listens(t, addr)
}

// Apache runs httpd with what stands in its virtual host.
func Apache(t testing.TB, addr, conf string) {
	t.Helper()
	bin := need(t, "apache2", "apache2", "apt-get install apache2")
	dir := t.TempDir()
	var mods strings.Builder
	for _, m := range []string{"mpm_event", "authz_core", "headers", "proxy", "proxy_http", "slotmem_shm", "proxy_balancer", "lbmethod_byrequests"} {
		fmt.Fprintf(&mods, "LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n", m, m)
	}
	user := ""
	if os.Getuid() == 0 {
		user = "User www-data\nGroup www-data\n"
	}
	path := write(t, dir, "apache.conf", mods.String()+user+`ServerRoot `+dir+`
PidFile `+dir+`/pid
DefaultRuntimeDir `+dir+`
Mutex posixsem
ErrorLog /dev/stderr
ServerName `+addr+`
Listen `+addr+`
StartServers 1
ServerLimit 4
ThreadsPerChild 25
MaxRequestWorkers 100
MinSpareThreads 5
MaxSpareThreads 100
<VirtualHost `+addr+`>
`+conf+`
</VirtualHost>
`)
	start(t, nil, bin, "-DFOREGROUND", "-f", path).listens(t, addr)
}

// Caddy runs caddy with a whole Caddyfile; its admin endpoint is off.
func Caddy(t testing.TB, addr, conf string) {
	t.Helper()
	bin := need(t, "caddy", "caddy", "apt-get install caddy")
	dir := t.TempDir()
	path := write(t, dir, "Caddyfile", "{\n\tadmin off\n\tauto_https off\n}\n"+conf)
	env := []string{"XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir, "HOME=" + dir}
	start(t, env, bin, "run", "--adapter", "caddyfile", "--config", path).listens(t, addr)
}

func write(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
