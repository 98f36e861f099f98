// Package deployments holds what Samedoor is deployed with; its tests read the
// files, and then run them as processes of this machine.
package deployments

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

const root = ".."

// pinned names a version, not whatever is the latest one.
var pinned = regexp.MustCompile(`^[a-z0-9/.-]+:[0-9]+(\.[0-9]+)?[a-z0-9.-]*$`)

func compose(t *testing.T) *types.Project {
	t.Helper()
	o, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yml")}, cli.WithName("samedoor"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := o.LoadProject(t.Context()) // checks it against the compose schema
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func workerServices(p *types.Project) []types.ServiceConfig {
	var w []types.ServiceConfig
	for slot := range 4 {
		w = append(w, p.Services[fmt.Sprintf("worker-%d", slot)])
	}
	return w
}

func env(s types.ServiceConfig, name string) string {
	if v := s.Environment[name]; v != nil {
		return *v
	}
	return ""
}

func TestCompose(t *testing.T) {
	p := compose(t)
	names := p.ServiceNames()
	slices.Sort(names)
	if got, want := fmt.Sprint(names), "[nginx redis worker-0 worker-1 worker-2 worker-3]"; got != want {
		t.Fatalf("services %s, want %s", got, want)
	}
	for name, s := range p.Services {
		if s.Build == nil && !pinned.MatchString(s.Image) {
			t.Errorf("%s: image %q names no version", name, s.Image)
		}
		if s.Restart != types.RestartPolicyUnlessStopped {
			t.Errorf("%s: restart policy %q", name, s.Restart)
		}
		if s.HealthCheck == nil && s.Build == nil {
			t.Errorf("%s: nothing tells its health", name)
		}
		for dep, d := range s.DependsOn {
			if d.Condition != types.ServiceConditionHealthy {
				t.Errorf("%s waits for %s to be %s, want healthy", name, dep, d.Condition)
			}
		}
		if len(s.Ports) > 0 != (name == "nginx") {
			t.Errorf("%s publishes %v: only nginx is for the outside", name, s.Ports)
		}
	}
}

func TestComposeWorkers(t *testing.T) {
	p := compose(t)
	nginx := p.Services["nginx"]
	addr := nginx.Networks["samedoor"].Ipv4Address
	for slot, s := range workerServices(p) {
		if _, ok := s.DependsOn["redis"]; !ok {
			t.Errorf("%s does not wait for redis", s.Name)
		}
		if _, ok := nginx.DependsOn[s.Name]; !ok {
			t.Errorf("nginx does not wait for %s, whose name it looks up", s.Name)
		}
		for name, want := range map[string]string{
			"SAMEDOOR_SLOT":   fmt.Sprint(slot),
			"SAMEDOOR_ID":     s.Name,
			"SAMEDOOR_LISTEN": fmt.Sprintf("0.0.0.0:%d", 3131+slot), // as b:message names it
			// The worker adds its slot to the port.
			"SAMEDOOR_PEER_ADDR": s.Name + ":4131",
		} {
			if got := env(s, name); got != want {
				t.Errorf("%s: %s=%s, want %s", s.Name, name, got, want)
			}
		}
		if want := "--trust-proxies=" + addr + "/32"; !slices.Contains(s.Command, want) {
			t.Errorf("%s: command %v, want %s in it: nginx's address", s.Name, s.Command, want)
		}
		if s.Networks["samedoor"].Ipv4Address == "" {
			t.Errorf("%s: its address is not fixed", s.Name)
		}
		if file := filepath.Join(s.Build.Context, s.Build.Dockerfile); !exists(file) {
			t.Errorf("%s is built from %s, which is not there", s.Name, file)
		}
	}
}

func TestComposeNginx(t *testing.T) {
	p := compose(t)
	s := p.Services["nginx"]
	if len(s.Ports) != 1 || s.Ports[0].Published != "8080" || s.Ports[0].Target != 8080 {
		t.Errorf("ports %v, want 8080 on 8080", s.Ports)
	}
	conf := nginxConf(t, p)
	if !strings.Contains(conf, "ip_hash;") || !strings.Contains(conf, "listen 0.0.0.0:8080;") {
		t.Errorf("nginx.conf does not hash addresses, or not on port 8080")
	}
	var got, want []string
	for _, m := range regexp.MustCompile(`server (\S+:\d+) `).FindAllStringSubmatch(conf, -1) {
		got = append(got, m[1])
	}
	for _, w := range workerServices(p) {
		_, port, _ := net.SplitHostPort(env(w, "SAMEDOOR_LISTEN"))
		want = append(want, net.JoinHostPort(w.Name, port))
	}
	if !slices.Equal(got, want) {
		t.Errorf("nginx proxies to %v, the workers are %v", got, want)
	}
}

// nginxConf reads what is mounted; ../nginx checks that its template gives this.
func nginxConf(t *testing.T, p *types.Project) string {
	t.Helper()
	for _, v := range p.Services["nginx"].Volumes {
		if v.Target == "/etc/nginx/nginx.conf" {
			b, err := os.ReadFile(v.Source)
			if err != nil || !v.ReadOnly {
				t.Errorf("nginx.conf: read-only %v, %v", v.ReadOnly, err)
			}
			return string(b)
		}
	}
	t.Fatal("no nginx.conf is mounted")
	return ""
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
