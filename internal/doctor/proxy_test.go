package doctor

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestInSight(t *testing.T) {
	for _, c := range []struct {
		header, body string
		want         Proxy
	}{
		{"Server: nginx/1.22.1", "", Proxy{Name: "nginx", Version: "1.22.1"}},
		{"Server: nginx", "<hr><center>nginx/1.29.6</center>", Proxy{Name: "nginx"}},
		{"", "<hr><center>nginx/1.29.6</center>", Proxy{Name: "nginx", Version: "1.29.6"}},
		{"Server: openresty/1.25.3.1", "", Proxy{Name: "nginx", Version: "1.25.3.1"}},
		{"Server: Apache/2.4.71 (Debian)", "", Proxy{Name: "apache", Version: "2.4.71"}},
		{"Server: Caddy", "", Proxy{Name: "caddy"}},
		{"Via: 1.1 Caddy", "", Proxy{Name: "caddy"}},
		{"Set-Cookie: SERVERID=app1; path=/", "", Proxy{Name: "haproxy"}},
		{"", "<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>\n", Proxy{Name: "haproxy"}},
		{"X-Envoy-Upstream-Service-Time: 3", "", Proxy{Name: "envoy"}},
		{"Server: awselb/2.0", "", Proxy{Name: "alb", edge: true}},
		{"Set-Cookie: AWSALB=x; Path=/", "", Proxy{Name: "alb", edge: true}},
		{"Via: 1.1 google", "", Proxy{Name: "gcp", edge: true}},
		{"Via: 1.1 vegur", "", Proxy{Name: "heroku", edge: true}},
		{"Cf-Ray: 8f-FRA", "", Proxy{Name: "cloudflare", edge: true}},
		{"Set-Cookie: INGRESSCOOKIE=x", "", Proxy{Name: "ingress-nginx"}},
		{"", "", Proxy{}},
		{"Server: ", "<html>", Proxy{}},
	} {
		h := http.Header{}
		if k, v, ok := strings.Cut(c.header, ": "); ok {
			h.Set(k, v)
		}
		if got := inSight(h, c.body); got != c.want {
			t.Errorf("inSight(%s, %s) = %+v, want %+v", c.header, c.body, got, c.want)
		}
	}
	if got := (Proxy{Name: "cloudflare", edge: true}).or(Proxy{Name: "nginx", Version: "1.22.1"}); got.Name != "nginx" {
		t.Errorf("behind Cloudflare: %+v", got)
	}
}

func FuzzInSight(f *testing.F) {
	f.Add("nginx/1.22.1", "1.1 google", "AWSALB=x", "<center>nginx</center>")
	f.Fuzz(func(t *testing.T, server, via, cookie, body string) {
		p := inSight(http.Header{"Server": {server}, "Via": {via}, "Set-Cookie": {cookie}}, body)
		if p.Name != "" && !slices.Contains(Proxies(), p.Name) {
			t.Errorf("%+v is not listed", p)
		}
		if strings.Trim(p.Version, "0123456789.") != "" {
			t.Errorf("version %q", p.Version)
		}
	})
}

// TestFixes holds the printed configurations to what the report has room for,
// and to their sources' names.
func TestFixes(t *testing.T) {
	for _, problem := range []string{"sticky", "upgrade", "timeout"} {
		for _, p := range Proxies() {
			if _, ok := fixFor(problem, Proxy{Name: p}); !ok {
				t.Errorf("no fix of %s for %s", problem, p)
			}
		}
	}
	dirs, err := fixFiles.ReadDir("fixes")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		files, _ := fixFiles.ReadDir("fixes/" + d.Name())
		for _, file := range files {
			name, _, _ := strings.Cut(strings.TrimSuffix(file.Name(), ".txt"), "-1.")
			if name != "any" && !slices.Contains(Proxies(), name) {
				t.Errorf("%s/%s is for no proxy we know", d.Name(), file.Name())
			}
			b, _ := fixFiles.ReadFile("fixes/" + d.Name() + "/" + file.Name())
			for l := range strings.Lines(string(b)) {
				if n := len([]rune(strings.TrimRight(l, "\n"))); n > 77 && !strings.Contains(l, "Set-Cookie") {
					t.Errorf("%s/%s: %d columns: %s", d.Name(), file.Name(), n, l)
				}
			}
		}
	}
	old, _ := fixFor("sticky", Proxy{Name: "nginx", Version: "1.29.5"})
	young, _ := fixFor("sticky", Proxy{Name: "nginx", Version: "1.29.6"})
	if old == young || !strings.Contains(young, "sticky cookie") {
		t.Errorf("nginx 1.29.6 is not told apart:\n%s", young)
	}
}

// TestWholeConfigurations: naming a proxy prints no less than naming none.
func TestWholeConfigurations(t *testing.T) {
	for proxy, parts := range map[string][]string{
		"nginx": {"upstream socketio {", "server {", "listen 80;", "location /socket.io/ {", "proxy_http_version 1.1;", "Upgrade $http_upgrade;",
			`Connection "upgrade";`, "Host $http_host;", "X-Forwarded-For", "proxy_read_timeout"},
		"haproxy": {"defaults", "timeout tunnel", "frontend", "use_backend", "backend socketio", "server app1"},
		"apache":  {"<VirtualHost", "ProxyPreserveHost On", "ProxyTimeout", "BalancerMember", "ProxyPass ", "upgrade=websocket"},
		"caddy":   {"http://:80 {", "reverse_proxy", "lb_policy"},
	} {
		for _, problem := range []string{"sticky", "upgrade", "origin", "prefix", "timeout"} {
			for _, version := range []string{"", "1.29.6"} {
				config, _ := fixFor(problem, Proxy{Name: proxy, Version: version})
				for _, part := range parts {
					if !strings.Contains(config, part) {
						t.Errorf("%s for %s %s lacks %q", problem, proxy, version, part)
					}
				}
			}
		}
	}
}

// TestNoProxyInSight: the other choices are named beside what is printed.
func TestNoProxyInSight(t *testing.T) {
	for problem, want := range map[string]string{
		"sticky":  "No proxy in sight, so this is for nginx; --proxy NAME prints it for another: haproxy, apache, ",
		"upgrade": "No proxy in sight: --proxy NAME prints the configuration for one of nginx, haproxy, ",
	} {
		f := &Finding{}
		f.fail("no good")
		f.because(problem, "Something.")
		(&exam{}).prescribe(f)
		if f.Fix == nil || !strings.HasPrefix(f.Fix.Text, want) || (f.Fix.Config != "") != (problem == "sticky") {
			t.Errorf("%s: %+v", problem, f.Fix)
		}
	}
}

func TestAtLeast(t *testing.T) {
	for v, want := range map[string]bool{"1.29.6": true, "1.29.10": true, "1.30": true, "2": true, "1.29.5": false, "1.29": false, "": false, "x": false} {
		if got := atLeast(v, 1, 29, 6); got != want {
			t.Errorf("atLeast(%q) = %v", v, got)
		}
	}
}
