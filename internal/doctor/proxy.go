package doctor

import (
	"net/http"
	"regexp"
	"strings"
)

// A Proxy is what stands in front, as far as its answers tell.
type Proxy struct {
	Name    string // as in Proxies
	Version string
	edge    bool // a provider's: what stands behind it may be in sight too
}

// Proxies lists those whose configuration fixes are written in.
func Proxies() []string {
	return []string{"nginx", "haproxy", "apache", "caddy", "traefik", "envoy", "alb", "gcp", "heroku",
		"kubernetes", "ingress-nginx", "cloudflare"}
}

// or keeps the more telling of two: one that names a version, one that is
// nearer to the workers.
func (p Proxy) or(q Proxy) Proxy {
	switch {
	case q.Name == "":
		return p
	case p.Name == "" || p.edge && !q.edge:
		return q
	case p.Name == q.Name && p.Version == "":
		return q
	}
	return p
}

var (
	nginxPage  = regexp.MustCompile(`<center>(?:nginx|openresty)(?:/([0-9.]+))?</center>`)
	apachePage = regexp.MustCompile(`<address>Apache(?:/([0-9.]+))?`)
	versioned  = regexp.MustCompile(`^(?i)([a-z][a-z -]*)(?:/([0-9][0-9.]*))?`)
)

// haproxyPage is the shape of HAProxy's built-in error pages.
var haproxyPage = regexp.MustCompile(`^(?:HTTP/1\.[01][^\n]*\n(?:[^\n]+\n)*\n)?<html><body><h1>\d{3} [^<]*</h1>\n[^<]*\n</body></html>\n?$`)

// inSight names the proxy by an answer's headers and by its error pages.
func inSight(h http.Header, body string) Proxy {
	has := func(k string) bool { return h.Get(k) != "" }
	cookie := func(name string) bool {
		for _, c := range h.Values("Set-Cookie") {
			if strings.HasPrefix(c, name) {
				return true
			}
		}
		return false
	}
	via := strings.ToLower(strings.Join(h.Values("Via"), ", "))
	server := h.Get("Server")
	low := strings.ToLower(server)
	name, version := "", ""
	if m := versioned.FindStringSubmatch(server); m != nil {
		name, version = strings.ToLower(m[1]), m[2]
	}
	switch {
	case has("X-Envoy-Upstream-Service-Time") || name == "envoy" || name == "istio-envoy" || strings.Contains(via, "envoy"):
		return Proxy{Name: "envoy"}
	case cookie("INGRESSCOOKIE="):
		return Proxy{Name: "ingress-nginx"}
	case name == "heroku" || strings.Contains(via, "vegur") || strings.Contains(via, "heroku"):
		return Proxy{Name: "heroku", edge: true}
	case cookie("AWSALB=") || cookie("AWSALBTG=") || cookie("AWSALBCORS=") || low == "awselb/2.0" || strings.HasPrefix(low, "awselb/"):
		return Proxy{Name: "alb", edge: true}
	case strings.Contains(via, "1.1 google") || cookie("GCLB=") || cookie("GCILB="):
		return Proxy{Name: "gcp", edge: true}
	case has("Cf-Ray") || name == "cloudflare":
		return Proxy{Name: "cloudflare", edge: true}
	case name == "caddy" || strings.Contains(via, "caddy"):
		return Proxy{Name: "caddy"}
	case name == "nginx" || name == "openresty":
		return Proxy{Name: "nginx", Version: version}
	case name == "apache":
		return Proxy{Name: "apache", Version: version}
	case name == "haproxy" || strings.Contains(via, "haproxy"):
		return Proxy{Name: "haproxy"}
	case name == "traefik" || cookie("_traefik"):
		return Proxy{Name: "traefik"}
	}
	if m := nginxPage.FindStringSubmatch(body); m != nil {
		return Proxy{Name: "nginx", Version: m[1]}
	}
	if m := apachePage.FindStringSubmatch(body); m != nil {
		return Proxy{Name: "apache", Version: m[1]}
	}
	if haproxyPage.MatchString(body) || cookie("SERVERID=") {
		return Proxy{Name: "haproxy"}
	}
	return Proxy{}
}
