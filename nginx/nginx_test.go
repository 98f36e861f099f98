package nginx

import (
	"bytes"
	"flag"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/samedoor/samedoor/internal/cert/certtest"
)

var update = flag.Bool("update", false, "write the golden files, deployments/nginx/nginx.conf among them")

func workers(addrs ...string) (s []Server) {
	for slot, a := range addrs {
		s = append(s, Server{Slot: slot, Addr: a})
	}
	return s
}

func listen(addrs ...string) (l []netip.AddrPort) {
	for _, a := range addrs {
		l = append(l, netip.MustParseAddrPort(a))
	}
	return l
}

func serve(method string) Config {
	return Config{
		Listen:    listen("127.0.0.1:8080"),
		Servers:   workers("127.0.0.1:3131", "127.0.0.1:3132", "127.0.0.1:3133", "127.0.0.1:3134"),
		Method:    method,
		Secret:    "0123456789abcdef",
		Processes: 1,
		LogLevel:  "crit",
	}
}

func golden() map[string]Config {
	down := serve("sid")
	down.Servers[2].Down = true
	proxied := serve("hash")
	proxied.Listen = listen("[::]:8080", "127.0.0.2:80")
	proxied.TrustProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	behind := serve("ip_hash")
	behind.TrustProxies = proxied.TrustProxies[:1]
	tls := serve("ip_hash")
	tls.Cert, tls.Key, tls.OldHTTP2 = "cert.pem", "key.pem", true
	return map[string]Config{
		"testdata/tls.conf":            tls,
		"testdata/ip_hash-behind.conf": behind,
		"testdata/ip_hash.conf":        serve("ip_hash"),
		"testdata/hash.conf":           proxied,
		"testdata/sid-down.conf":       down,
		"../deployments/nginx/nginx.conf": {
			Listen:  listen("0.0.0.0:8080"),
			Servers: workers("worker-0:3131", "worker-1:3132", "worker-2:3133", "worker-3:3134"),
			Temp:    "/tmp/", // all that is writable in the container
		},
	}
}

func TestGolden(t *testing.T) {
	for file, c := range golden() {
		t.Run(filepath.Base(file), func(t *testing.T) {
			got, err := Render(c)
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s is not what the template gives: look at the difference, then run go test ./nginx -update\n%s", file, got)
			}
			// Host names are nginx's to resolve: here there are none.
			for slot := range 4 {
				name := "worker-" + string(rune('0'+slot))
				got = bytes.ReplaceAll(got, []byte(name), []byte("127.0.0.1"))
			}
			got = bytes.ReplaceAll(got, []byte("/tmp/"), nil)
			check(t, got)
		})
	}
}

// check asks a real nginx.
func check(t *testing.T, conf []byte) {
	t.Helper()
	bin := lookNginx(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "nginx.conf")
	cert, key := certtest.Write(t, "127.0.0.1")
	conf = bytes.ReplaceAll(conf, []byte(" cert.pem;"), []byte(" "+cert+";"))
	conf = bytes.ReplaceAll(conf, []byte(" key.pem;"), []byte(" "+key+";"))
	if err := os.WriteFile(file, conf, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(bin, "-t", "-p", dir, "-e", "stderr", "-c", file).CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("[warn]")) {
		t.Errorf("nginx -t: %v\n%s", err, out)
	}
}

func lookNginx(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"nginx", "/usr/sbin/nginx"} {
		if bin, err := exec.LookPath(name); err == nil {
			return bin
		}
	}
	if os.Getenv("E2E_REQUIRED") != "" {
		t.Fatal("nginx is not installed")
	}
	t.Skip("nginx is not installed")
	return ""
}

func TestAllDown(t *testing.T) {
	for _, m := range Methods {
		c := serve(m)
		for i := range c.Servers {
			c.Servers[i].Down = true
		}
		conf, err := Render(c)
		if err != nil {
			t.Fatal(err)
		}
		check(t, conf) // 502 for all, but not a configuration that nginx refuses
	}
}

func TestRefused(t *testing.T) {
	for name, spoil := range map[string]func(*Config){
		"no address":               func(c *Config) { c.Listen = nil },
		"port 0":                   func(c *Config) { c.Listen = listen("127.0.0.1:0") },
		"zone":                     func(c *Config) { c.Listen = listen("[fe80::1%a;b]:80") },
		"no workers":               func(c *Config) { c.Servers = nil },
		"negative slot":            func(c *Config) { c.Servers[1].Slot = -1 },
		"same slot":                func(c *Config) { c.Servers[1].Slot = 0 },
		"directive in host":        func(c *Config) { c.Servers[1].Addr = "a; return 200; #:80" },
		"parameter in host":        func(c *Config) { c.Servers[1].Addr = "a:80 backup" },
		"variable in host":         func(c *Config) { c.Servers[1].Addr = "$host:80" },
		"unix socket":              func(c *Config) { c.Servers[1].Addr = "unix:80" },
		"no port":                  func(c *Config) { c.Servers[1].Addr = "worker-1" },
		"port too high":            func(c *Config) { c.Servers[1].Addr = "worker-1:65536" },
		"signed port":              func(c *Config) { c.Servers[1].Addr = "worker-1:+80" },
		"method":                   func(c *Config) { c.Method = "random; #" },
		"quote in secret":          func(c *Config) { c.Secret = `a"; return 200 "` },
		"variable in secret":       func(c *Config) { c.Secret = "$http_host" },
		"line in secret":           func(c *Config) { c.Secret = "a\nb" },
		"line at end of secret":    func(c *Config) { c.Secret = "a\n" },
		"directive in path":        func(c *Config) { c.Temp = "/tmp;/" },
		"path without its slash":   func(c *Config) { c.Temp = "/tmp" },
		"directive in certificate": func(c *Config) { c.Cert, c.Key = "a; #", "b" },
		"directive in key":         func(c *Config) { c.Cert, c.Key = "a", "b\n" },
		"certificate without key":  func(c *Config) { c.Cert = "a" },
		"level":                    func(c *Config) { c.LogLevel = "warn; #" },
		"no network":               func(c *Config) { c.TrustProxies = make([]netip.Prefix, 1) },
		"zone in a network's host": func(c *Config) { c.Servers[0].Addr = "[fe80::1%a]:80" },
	} {
		t.Run(name, func(t *testing.T) {
			c := serve("ip_hash")
			spoil(&c)
			if conf, err := Render(c); err == nil {
				t.Errorf("rendered:\n%s", conf)
			} else if c.Secret != "" && strings.Contains(err.Error(), c.Secret) {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}

func FuzzRender(f *testing.F) {
	f.Add("worker-0:3131", "s3cret", "/tmp/", "warn")
	f.Add("[::1]:80", "$x", "}", "crit;")
	plain, err := Render(serve("ip_hash"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, addr, secret, temp, level string) {
		c := serve("ip_hash")
		c.Servers[0].Addr, c.Secret, c.Temp, c.LogLevel = addr, secret, temp, level
		conf, err := Render(c)
		if err != nil {
			return
		}
		for _, mark := range []string{";", "{", "}", "\n", "\"", "$"} {
			if got, want := bytes.Count(conf, []byte(mark)), bytes.Count(plain, []byte(mark)); got != want {
				t.Errorf("%d × %q, want %d:\n%s", got, mark, want, conf)
			}
		}
	})
}
