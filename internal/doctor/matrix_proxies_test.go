package doctor_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/clustertest"
	"github.com/samedoor/samedoor/internal/doctor"
	"github.com/samedoor/samedoor/internal/doctor/doctortest"
)

func address(t *testing.T) string { return fmt.Sprintf("%s:%d", doctortest.Host(t), doctortest.Port) }

// An nginxConf is what matters of an nginx in front of two workers; what is
// left empty is right.
type nginxConf struct{ upstream, server, location string }

const (
	roundRobin = `upstream socketio { server app1:3000; server app2:3000; }`
	ipHash     = `upstream socketio { ip_hash; server app1:3000; server app2:3000; }`
	asTheSeed  = `location /socket.io/ {
    proxy_pass http://socketio;
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection "upgrade";
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
`
)

func (c nginxConf) start(t *testing.T, w *world) string {
	addr := address(t)
	if c.upstream == "" {
		c.upstream = ipHash
	}
	if c.location == "" {
		c.location = asTheSeed + "}"
	}
	doctortest.Nginx(t, addr, w.fill(fmt.Sprintf("%s\nserver {\nlisten %s;\n%s\n%s\n}\n", c.upstream, addr, c.server, c.location)))
	return "http://" + addr
}

// with starts the same nginx with one part of it replaced by a fix.
func (c nginxConf) with(part func(c *nginxConf) *string) func(*testing.T, *world, string) string {
	return func(t *testing.T, w *world, fix string) string {
		fixed := c
		*part(&fixed) = fix
		return fixed.start(t, w)
	}
}

func serverPart(c *nginxConf) *string { return &c.server }

// nginxWhole starts what is printed, as it is but for the address.
func nginxWhole(t *testing.T, _ *world, fix string) string {
	addr := address(t)
	doctortest.Nginx(t, addr, strings.Replace(fix, "listen 80;", "listen "+addr+";", 1))
	return "http://" + addr
}

// onOurs puts our own server where the fix has the world's workers.
func onOurs(start func(*testing.T, *world, string) string) func(*testing.T, *world, string) string {
	return func(t *testing.T, w *world, fix string) string {
		own := ourWorld(t)
		return start(t, own, strings.NewReplacer(w.app1, own.app1, w.app2, own.app2).Replace(fix))
	}
}

var (
	nginxRoundRobin = nginxConf{upstream: roundRobin}
	nginxNoUpgrade  = nginxConf{location: `location /socket.io/ { proxy_pass http://socketio; proxy_set_header Host $http_host; }`}
	nginxNoHeaders  = nginxConf{location: `location /socket.io/ { proxy_pass http://socketio; proxy_http_version 1.1; proxy_set_header Host $http_host; }`}
	nginxImpatient  = nginxConf{location: asTheSeed + "proxy_buffering on;\nproxy_read_timeout 1s;\n}"}
	nginxSmall      = nginxConf{server: "client_max_body_size 10k;"}
	nginxPrefix     = nginxConf{location: `location /chat/ { proxy_pass http://socketio/; proxy_http_version 1.1;
		proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; proxy_set_header Host $http_host; }`}
	nginxStrips = nginxConf{location: `location /socket.io/ { proxy_pass http://socketio/; proxy_http_version 1.1;
		proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; proxy_set_header Host $http_host; }`}
	keepAliveMap = `map $http_upgrade $connection_upgrade { default upgrade; "" ""; }
`
	keepAlive = `location /socket.io/ {
    proxy_pass http://socketio;
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_upgrade;
    proxy_set_header Host $http_host;
}`
	nginxKeepAlive = nginxConf{location: keepAlive,
		upstream: keepAliveMap + `upstream socketio { ip_hash; server app1:3000; server app2:3000; keepalive 8; }`}
)

var nginxes = []subject{
	{name: "nginx ip_hash", start: nginxConf{}.start, proxy: "nginx"},
	{name: "nginx ip_hash, two networks", start: nginxConf{}.start, affinity: "address",
		with: doctor.Options{From: addrs("127.1.1.1", "127.1.2.1", "127.1.3.1")}},
	{name: "nginx one worker, two networks", affinity: "every", with: doctor.Options{From: addrs("127.1.1.1", "127.1.2.1")},
		start: nginxConf{upstream: "upstream socketio { server app1:3000; }"}.start},
	{name: "nginx round robin", start: nginxRoundRobin.start, exit: 1, want: notSticky, affinity: "none", workers: 2, proxy: "nginx",
		mend: "sticky", mended: nginxWhole},
	{name: "nginx without upgrade", start: nginxNoUpgrade.start, exit: 1, mend: "upgrade", mended: nginxWhole,
		want: map[string]string{"upgrade": "failure: Upgrade header does not reach", "websocket": "failure: Upgrade header does not reach"}},
	{name: "nginx 1.1 without upgrade headers", start: nginxNoHeaders.start, exit: 1, mend: "websocket", mended: nginxWhole,
		want: map[string]string{"upgrade": "failure: Upgrade header does not reach", "websocket": "failure: Upgrade header does not reach"}},
	{name: "nginx with a short proxy_read_timeout", start: nginxImpatient.start, exit: 1, mend: "hold", mended: nginxWhole,
		want: map[string]string{"hold": "failure: cut after 1"}},
	{name: "nginx with a short proxy_read_timeout, WebSockets too", full: true, exit: 1, with: doctor.Options{Hold: 5 * time.Second},
		start: func(t *testing.T, w *world) string {
			own := &world{}
			own.app1 = doctortest.Node(t, doctortest.NodeConfig{Kind: "single", Options: shortPing})
			own.app2 = own.app1
			return nginxImpatient.start(t, own)
		},
		want: map[string]string{"hold": "failure: cut after 1", "idle": "failure: is cut after"}},
	{name: "nginx with proxy_read_timeout below the ping interval", soak: true, exit: 1,
		start: nginxConf{location: asTheSeed + "proxy_read_timeout 20s;\n}"}.start,
		want:  map[string]string{"hold": "failure: held polls are cut", "idle": "failure: is cut after"}},
	{name: "nginx as installed, with the usual times", soak: true, start: nginxConf{}.start},
	{name: "nginx with a small client_max_body_size", start: nginxSmall.start, exit: 1, mend: "payload", mended: nginxSmall.with(serverPart),
		want: map[string]string{"payload": "failure: is refused"}},
	{name: "nginx with another prefix", start: nginxPrefix.start, exit: 1, mend: "reachable", mended: nginxWhole,
		with: doctor.Options{}, want: map[string]string{"reachable": "failure: not"}},
	{name: "nginx with another prefix, page given", exit: 1,
		start: func(t *testing.T, w *world) string { return nginxPrefix.start(t, w) + "/chat/index.html" },
		want:  map[string]string{"reachable": "failure: Engine.IO answers at /chat/socket.io/"}},
	{name: "nginx strips the path", start: nginxStrips.start, exit: 1, mend: "reachable", mended: nginxWhole,
		want: map[string]string{"reachable": "failure: nothing at /socket.io/"}},
	{name: "nginx with upstream keep-alive", start: nginxKeepAlive.start},
	{name: "nginx with upstream keep-alive to a Node cluster", exit: 1, want: notSticky,
		start: func(t *testing.T, w *world) string {
			own := &world{}
			own.app1 = doctortest.Node(t, doctortest.NodeConfig{Kind: "cluster", Workers: 4})
			own.app2 = own.app1
			return nginxKeepAlive.start(t, own)
		}},
	{name: "nginx rewrites Host", exit: 1, want: map[string]string{"upgrade": "failure: are refused", "websocket": "failure: refused", "namespace": "failure: 403"},
		start: func(t *testing.T, w *world) string { return hostRewriting.start(t, ourWorld(t)) },
		mend:  "upgrade", mended: onOurs(nginxWhole)},
	{name: "nginx with proxy_pass alone", exit: 1, mend: "websocket", mended: onOurs(nginxWhole),
		start: func(t *testing.T, w *world) string {
			return nginxConf{location: `location / { proxy_pass http://socketio; }`}.start(t, ourWorld(t))
		},
		want: map[string]string{"upgrade": "failure: Upgrade header is dropped on the way, and the Host header rewritten", "websocket": "failure: Upgrade header is dropped on the way, and the Host header rewritten", "namespace": "failure: 403"}},
	{name: "nginx as documented", start: documented, affinity: "address", with: doctor.Options{From: addrs("127.1.1.1", "127.1.2.1", "127.1.3.1", "127.1.4.1")}},
	{name: "nginx serves files only", exit: 1, want: map[string]string{"reachable": "failure: nothing at /socket.io/: 404"},
		start: nginxConf{location: "location / { root /usr/share; }"}.start},
	{name: "nginx serves a single-page app", exit: 1, want: map[string]string{"reachable": "failure: a page answers"},
		start: nginxConf{location: `location / { default_type text/html; return 200 "<!doctype html><title>app</title>"; }`}.start},
	{name: "nginx with nothing behind", exit: 1, want: map[string]string{"reachable": "failure: 502"},
		start: nginxConf{upstream: "upstream socketio { server 127.0.0.1:1; }"}.start},
	{name: "nginx wants a login", exit: 1, want: map[string]string{"reachable": "failure: redirected to a page"},
		start: nginxConf{location: `location / { return 302 /login; }`}.start},
}

// documented is the page's block in front of what the page says to start.
func documented(t *testing.T, _ *world) string {
	b, err := os.ReadFile("../../docs/proxies.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(b), "```nginx\n")
	block, _, ok := strings.Cut(block, "```")
	if !ok || !strings.Contains(string(b), "serve --trust-proxies 127.0.0.1/32") {
		t.Fatal("docs/proxies.md has no block of nginx's, or another command")
	}
	// Strict: the client's address, told by nginx, is all that leads to the owner.
	addr, server := address(t), clustertest.Start(t, "--strict", "--trust-proxies", "127.0.0.1/32").Addr
	doctortest.Nginx(t, addr, strings.NewReplacer("listen 80;", "listen "+addr+";", "127.0.0.1:8080", server).Replace(block))
	return "http://" + addr
}

// hostRewriting hides the name that pages know from a server that compares it.
var hostRewriting = nginxConf{location: `location /socket.io/ { proxy_pass http://socketio; proxy_http_version 1.1;
	proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; }`}

// ourWorld is our own server as both workers: it minds the Origin.
func ourWorld(t *testing.T) *world {
	addr := clustertest.Start(t, "--workers", "1").Addr
	return &world{app1: addr, app2: addr}
}

func haproxy(backend, timeouts string) func(*testing.T, *world) string {
	return func(t *testing.T, w *world) string {
		addr := address(t)
		if timeouts == "" {
			timeouts = "defaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n timeout tunnel 1h\n"
		}
		if backend == "" {
			backend = "backend socketio\n balance source\n server app1 app1:3000\n server app2 app2:3000\n"
		}
		doctortest.HAProxy(t, addr, w.fill(timeouts+"\nfrontend web\n bind "+addr+"\n default_backend socketio\n"+backend+"\n"))
		return "http://" + addr
	}
}

// haproxyFront has pages and Socket.IO behind one frontend.
func haproxyFront(rules string) func(*testing.T, *world) string {
	return func(t *testing.T, w *world) string {
		addr := address(t)
		doctortest.HAProxy(t, addr, w.fill("defaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n timeout tunnel 1h\n"+
			"backend socketio\n balance source\n server app1 app1:3000\n server app2 app2:3000\n"+
			"backend pages\n http-request return status 404 content-type text/plain string nothing\n"+
			"frontend web\n bind "+addr+"\n"+rules+"\n"))
		return "http://" + addr
	}
}

func haproxyWhole(t *testing.T, _ *world, fix string) string {
	addr := address(t)
	doctortest.HAProxy(t, addr, strings.Replace(fix, "bind :80", "bind "+addr, 1))
	return "http://" + addr
}

const haproxyWorkers = " server app1 app1:3000 cookie app1\n server app2 app2:3000 cookie app2\n"

var haproxies = []subject{
	{name: "haproxy round robin", start: haproxy("backend socketio\n balance roundrobin\n"+haproxyWorkers, ""), exit: 1, want: notSticky,
		affinity: "none", workers: 2, with: doctor.Options{Proxy: "haproxy"}, mend: "sticky", mended: haproxyWhole},
	{name: "haproxy with a cookie", start: haproxy("backend socketio\n balance roundrobin\n cookie SERVERID insert indirect nocache\n"+haproxyWorkers, ""),
		want: map[string]string{"sticky": "warning: a cookie decides"}, affinity: "cookie", proxy: "haproxy"},
	{name: "haproxy by address", start: haproxy("", "")},
	{name: "haproxy removes Upgrade", exit: 1, with: doctor.Options{Proxy: "haproxy"}, mend: "upgrade", mended: haproxyWhole,
		start: haproxy("backend socketio\n balance source\n http-request del-header Upgrade\n"+haproxyWorkers, ""),
		want:  map[string]string{"upgrade": "failure: Upgrade header", "websocket": "failure: Upgrade header"}},
	{name: "haproxy with a short timeout", exit: 1, mend: "hold", mended: haproxyWhole,
		start: haproxy("", "defaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 1s\n"),
		want:  map[string]string{"hold": "failure: cut after 1"}},
	{name: "haproxy without a rule for the path", exit: 1, mend: "reachable", with: doctor.Options{Proxy: "haproxy"},
		start: haproxyFront(" default_backend pages"), want: map[string]string{"reachable": "failure: nothing at /socket.io/: 404"},
		mended: haproxyWhole},
	{name: "haproxy with nothing behind", exit: 1, proxy: "haproxy", want: map[string]string{"reachable": "failure: 503"},
		start: haproxy("backend socketio\n server app1 127.0.0.1:1\n", "")},
}

func apache(conf string) func(*testing.T, *world) string {
	return func(t *testing.T, w *world) string {
		addr := address(t)
		if !strings.Contains(conf, "ProxyPreserveHost") {
			conf = "ProxyPreserveHost On\n" + conf
		}
		doctortest.Apache(t, addr, w.fill(conf))
		return "http://" + addr
	}
}

// apacheWhole starts what stands in the printed virtual host.
func apacheWhole(t *testing.T, w *world, fix string) string {
	_, host, _ := strings.Cut(fix, "<VirtualHost *:80>\n")
	host, _, ok := strings.Cut(host, "</VirtualHost>")
	if !ok || !strings.Contains(host, "ProxyPreserveHost On") {
		t.Errorf("no virtual host in %s", fix)
	}
	return apache(host)(t, w)
}

const apachePass = `ProxyPass "/socket.io/" "http://app1:3000/socket.io/" upgrade=websocket`

var apaches = []subject{
	{name: "apache with upgrade=websocket", start: apache(apachePass), proxy: "apache"},
	{name: "apache without upgrade=websocket", start: apache(`ProxyPass "/socket.io/" "http://app1:3000/socket.io/"`), exit: 1, proxy: "apache",
		want: map[string]string{"upgrade": "failure", "websocket": "failure"}, mend: "upgrade", mended: apacheWhole},
	{name: "apache balancing by requests", exit: 1, want: notSticky, affinity: "none", workers: 2, mend: "sticky", mended: apacheWhole,
		start: apache(`<Proxy "balancer://socketio">
			BalancerMember "http://app1:3000" upgrade=websocket
			BalancerMember "http://app2:3000" upgrade=websocket
			</Proxy>
			ProxyPass "/socket.io/" "balancer://socketio/socket.io/"`)},
	{name: "apache with a short timeout", exit: 1, start: apache("ProxyTimeout 1\n" + apachePass), mend: "hold", mended: apacheWhole,
		want: map[string]string{"hold": "failure: cut after 1"}},
	{name: "apache rewrites Host", exit: 1, mend: "upgrade",
		start: func(t *testing.T, _ *world) string {
			return apache("ProxyPreserveHost Off\n"+apachePass)(t, ourWorld(t))
		},
		mended: onOurs(apacheWhole),
		want:   map[string]string{"upgrade": "failure: are refused", "websocket": "failure: refused", "namespace": "failure: 403"}},
	{name: "apache serves files only", exit: 1, proxy: "apache", want: map[string]string{"reachable": "failure: nothing at /socket.io/: 404"},
		start: apache("DocumentRoot /usr/share\n<Directory /usr/share>\nRequire all granted\n</Directory>"), mend: "reachable", mended: apacheWhole},
}

func caddy(conf string) func(*testing.T, *world) string {
	return func(t *testing.T, w *world) string {
		addr := address(t)
		host, port := addr[:len(addr)-5], doctortest.Port
		doctortest.Caddy(t, addr, w.fill(fmt.Sprintf("http://:%d {\n bind %s\n%s\n}\n", port, host, conf)))
		return "http://" + addr
	}
}

func caddyWith(before string) func(*testing.T, *world, string) string {
	return func(t *testing.T, w *world, fix string) string { return caddy(before+"\n"+fix)(t, w) }
}

func caddyWhole(t *testing.T, _ *world, fix string) string {
	addr := address(t)
	host, port := addr[:len(addr)-5], doctortest.Port
	doctortest.Caddy(t, addr, strings.Replace(fix, "http://:80 {", fmt.Sprintf("http://:%d {\nbind %s", port, host), 1))
	return "http://" + addr
}

func caddyProxy(more string) string {
	return "reverse_proxy /socket.io/* app1:3000 app2:3000 {\n" + more + "\n}"
}

var caddies = []subject{
	{name: "caddy random", start: caddy(caddyProxy("lb_policy random")), exit: 1, want: notSticky, affinity: "none", proxy: "caddy",
		mend: "sticky", mended: caddyWhole},
	{name: "caddy ip_hash", start: caddy(caddyProxy("lb_policy ip_hash")), proxy: "caddy"},
	{name: "caddy removes Upgrade", exit: 1, start: caddy(caddyProxy("lb_policy ip_hash\nheader_up -Upgrade\nheader_up -Connection")), mend: "upgrade", mended: caddyWhole,
		want: map[string]string{"upgrade": "failure", "websocket": "failure"}},
	{name: "caddy with a small body", exit: 1, start: caddy("request_body {\nmax_size 10KB\n}\n" + caddyProxy("lb_policy ip_hash")), mend: "payload",
		mended: caddyWith(caddyProxy("lb_policy ip_hash")), want: map[string]string{"payload": "failure"}},
	{name: "caddy with a short timeout", exit: 1, start: caddy(caddyProxy("lb_policy ip_hash\ntransport http {\nresponse_header_timeout 1s\n}")), mend: "hold",
		mended: caddyWhole, want: map[string]string{"hold": "failure: cut after 1"}},
	{name: "caddy serves files only", exit: 1, start: caddy("root * /usr/share\nfile_server"), want: map[string]string{"reachable": "failure: nothing at /socket.io/: 404"},
		mend: "reachable", mended: caddyWhole},
}
