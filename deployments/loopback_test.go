package deployments

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// A host runs the services of the compose file as processes of this machine.
//
// Only addresses are rewritten, and ports stay what they are: each container
// becomes an address of the loopback network 127.x.y.0/24, with x and y by
// chance, so that runs at the same time don't meet.
//
//	redis, worker-0, …        127.x.y.N
//	0.0.0.0 in a container    its own 127.x.y.N
//	127.0.0.1 in it           likewise, in health checks
//	172.30.31.2 (nginx)       127.0.0.1: whence its connections come
//	/tmp/ and /data           a directory of the test
type host struct {
	t    *testing.T
	p    *types.Project
	net  string // 127.x.y.
	dir  string
	bin  string // samedoor
	logs map[string]*bytes.Buffer
}

func newHost(t *testing.T, p *types.Project) *host {
	t.Helper()
	h := &host{t: t, p: p, dir: t.TempDir(), logs: map[string]*bytes.Buffer{}}
	h.net = fmt.Sprintf("127.%d.%d.", 1+rand.IntN(254), rand.IntN(255))
	h.bin = filepath.Join(h.dir, "samedoor")
	if out, err := exec.Command("go", "build", "-o", h.bin, "../cmd/samedoor").CombinedOutput(); err != nil {
		t.Fatalf("go build ../cmd/samedoor: %v\n%s", err, out)
	}
	return h
}

// addr is the address of a service.
func (h *host) addr(service string) string {
	n := map[string]int{"nginx": 2, "redis": 3}[service]
	if n == 0 {
		_, err := fmt.Sscanf(service, "worker-%d", &n)
		if err != nil {
			h.t.Fatalf("service %s is unknown", service)
		}
		n += 10
	}
	return fmt.Sprint(h.net, n)
}

// A name with a port, and not the same letters in something else.
var named = regexp.MustCompile(`\b(redis|worker-\d):(\d)`)

// rewrite puts the addresses of this machine into what a service is given.
func (h *host) rewrite(service, text string) string {
	text = strings.NewReplacer(
		"0.0.0.0:", h.addr(service)+":",
		"127.0.0.1:", h.addr(service)+":",
		"172.30.31.2/", "127.0.0.1/",
		"/tmp/", h.dir+"/",
	).Replace(text)
	return named.ReplaceAllStringFunc(text, func(s string) string {
		m := named.FindStringSubmatch(s)
		return h.addr(m[1]) + ":" + m[2]
	})
}

// start starts a service's command with its environment, and with args.
func (h *host) start(service string, command []string, args ...string) *exec.Cmd {
	h.t.Helper()
	command = slices.Clone(command) // the compose file's
	for i, arg := range command[1:] {
		command[i+1] = h.rewrite(service, arg)
	}
	bin, err := look(command[0])
	if err != nil {
		if os.Getenv("E2E_REQUIRED") != "" {
			h.t.Fatal(err)
		}
		h.t.Skip(err)
	}
	cmd := exec.Command(bin, append(command[1:], args...)...)
	cmd.Dir = h.dir
	cmd.Env = h.env(service)
	h.logs[service] = new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = h.logs[service], h.logs[service]
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(5*time.Second, func() {
			h.t.Errorf("%s was still there 5 s after SIGTERM", service)
			_ = cmd.Process.Kill()
		})
		err := cmd.Wait()
		late.Stop()
		if err != nil {
			h.t.Errorf("%s ended with %v", service, err)
		}
		if h.t.Failed() {
			h.t.Logf("%s said:\n%s", service, h.logs[service])
		}
	})
	return cmd
}

func (h *host) env(service string) []string {
	env := []string{"PATH=" + os.Getenv("PATH")}
	for name, value := range h.p.Services[service].Environment {
		if value != nil {
			env = append(env, name+"="+h.rewrite(service, *value))
		}
	}
	return env
}

// look finds servers where a user's PATH often does not lead.
func look(name string) (string, error) {
	if bin, err := exec.LookPath(name); err == nil {
		return bin, nil
	}
	return exec.LookPath("/usr/sbin/" + name)
}

// up starts everything in the order in which compose would, each when those it
// waits for are healthy.
func (h *host) up() {
	h.t.Helper()
	redis := h.p.Services["redis"]
	h.start("redis", redis.Command, "--bind", h.addr("redis"), "--dir", h.dir)
	h.wait("redis", func() error {
		c, err := net.Dial("tcp", h.addr("redis")+":6379")
		if err != nil {
			return err
		}
		defer c.Close()
		fmt.Fprintf(c, "PING\r\n")
		answer := make([]byte, 7)
		if n, err := c.Read(answer); string(answer[:n]) != "+PONG\r\n" {
			return fmt.Errorf("answer %q, %v", answer[:n], err)
		}
		return nil
	})
	for _, w := range workerServices(h.p) {
		h.start(w.Name, append([]string{h.bin}, w.Command...)) // ENTRYPOINT ["samedoor"]
	}
	check := healthcheck(h.t)
	for _, w := range workerServices(h.p) {
		h.wait(w.Name, func() error { return h.run(w.Name, "sh", "-c", check) })
	}
	conf := filepath.Join(h.dir, "nginx.conf")
	if err := os.WriteFile(conf, []byte(h.rewrite("nginx", nginxConf(h.t, h.p))), 0o600); err != nil {
		h.t.Fatal(err)
	}
	nginx := h.p.Services["nginx"]
	h.start("nginx", nginx.Command, "-c", conf, "-p", h.dir)
	h.wait("nginx", func() error { return h.run("nginx", nginx.HealthCheck.Test[1:]...) })
}

// run runs a health check as the service itself would.
func (h *host) run(service string, command ...string) error {
	if _, err := exec.LookPath("wget"); err != nil {
		h.t.Skip("wget is not installed, which the images' health checks use")
	}
	command = slices.Clone(command)
	for i, arg := range command {
		command[i] = h.rewrite(service, arg)
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = h.env(service)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", command, err, out)
	}
	return nil
}

// wait polls a health check until it is content.
func (h *host) wait(service string, healthy func() error) {
	h.t.Helper()
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		err := healthy()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			h.t.Fatalf("%s is not healthy: %v", service, err)
		}
	}
}
