// Package nginx writes the configuration of an nginx that stands in front of
// the workers: the one that `serve --strategy nginx` starts, and the one in
// docker-compose.yml, from the same template.
package nginx

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"text/template"

	"github.com/samedoor/samedoor/strategies"
)

// Methods are the ways to pick a worker: the seed's, the same with a
// consistent hash of the whole address, and by the slot in the sid.
var Methods = []string{"ip_hash", "hash", "sid"}

// Server is a slot's place in the upstream.
type Server struct {
	Slot int
	Addr string // host:port
	Down bool   // given up: it keeps its place in the hash and gets no requests
}

// Config is what differs between one nginx and another. The zero values of
// the fields below Secret are right for an nginx started by hand.
type Config struct {
	Listen  []netip.AddrPort
	Servers []Server
	Method  string // one of Methods; empty: the first

	// Secret is sent to the workers as [strategies.FrontHeader]. Empty: the
	// header is only taken from clients.
	Secret string

	// TrustProxies in front of this nginx are believed about the client's
	// address, by X-Forwarded-For: nginx understands Forwarded not at all, and
	// the PROXY protocol only where every connection begins with it.
	TrustProxies []netip.Prefix

	// Cert and Key are paths, relative to the configuration's, of what HTTPS is
	// served with. Empty: plain HTTP. OldHTTP2 is for nginx before 1.25.1, which
	// knows HTTP/2 as a parameter of listen only.
	Cert, Key string
	OldHTTP2  bool

	Processes   int    // 0: one for each core
	Connections int    // per process, two for each client; 0: 16384
	Temp        string // prefix of temporary paths, ending in /; empty: nginx's own prefix (-p)
	LogLevel    string // of nginx; empty: warn
}

//go:embed nginx.conf.tmpl
var source string

var conf = template.Must(template.New("nginx.conf").Parse(source))

// Render returns the configuration. Nothing in c can add a directive: an error
// names the value that could.
func Render(c Config) ([]byte, error) {
	if c.Method == "" {
		c.Method = Methods[0]
	}
	if c.Connections == 0 {
		c.Connections = 16384
	}
	if c.LogLevel == "" {
		c.LogLevel = "warn"
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("nginx configuration: %w", err)
	}
	var b bytes.Buffer
	err := conf.Execute(&b, struct {
		Config
		SecretHeader string
		Files        int
		ProxyHash    bool
	}{c, strategies.FrontHeader, 2 * c.Connections, c.Method == Methods[0] && len(c.TrustProxies) > 0})
	return b.Bytes(), err
}

// What may stand in a configuration without quotes, or between them.
var (
	host  = regexp.MustCompile(`^[0-9A-Za-z]([0-9A-Za-z._-]*[0-9A-Za-z])?$`)
	token = regexp.MustCompile(`^[0-9A-Za-z._~+/=-]*$`)
	temp  = regexp.MustCompile(`^([0-9A-Za-z._/-]*/)?$`)
	path  = regexp.MustCompile(`^([0-9A-Za-z._/-]+)?$`)
	level = regexp.MustCompile(`^(debug|info|notice|warn|error|crit|alert|emerg)$`)
)

func (c Config) check() error {
	if len(c.Listen) == 0 {
		return errors.New("no address to listen on")
	}
	for _, l := range c.Listen {
		if !l.IsValid() || l.Port() == 0 || l.Addr().Zone() != "" {
			return fmt.Errorf("cannot listen on %q", l)
		}
	}
	if len(c.Servers) == 0 {
		return errors.New("no workers")
	}
	seen := map[int]bool{}
	for _, s := range c.Servers {
		if s.Slot < 0 || seen[s.Slot] {
			return fmt.Errorf("slot %d is negative or there twice", s.Slot)
		}
		seen[s.Slot] = true
		if !isHostPort(s.Addr) {
			return fmt.Errorf("slot %d: %q is not host:port", s.Slot, s.Addr)
		}
	}
	for _, p := range c.TrustProxies {
		if !p.IsValid() {
			return errors.New("a trusted proxy's network is invalid")
		}
	}
	switch {
	case c.Method != "ip_hash" && c.Method != "hash" && c.Method != "sid":
		return fmt.Errorf("unknown method %q: choose %s", c.Method, strings.Join(Methods, ", "))
	case !token.MatchString(c.Secret):
		return errors.New("the secret holds characters that a header's token may not") // never shown
	case !temp.MatchString(c.Temp):
		return fmt.Errorf("temporary path %q: want letters, digits and ._-/, ending in /", c.Temp)
	case !path.MatchString(c.Cert) || !path.MatchString(c.Key) || (c.Cert == "") != (c.Key == ""):
		return fmt.Errorf("certificate %q and key %q: want two paths of letters, digits and ._-/, or none", c.Cert, c.Key)
	case !level.MatchString(c.LogLevel):
		return fmt.Errorf("unknown log level %q", c.LogLevel)
	case c.Processes < 0 || c.Connections < 0:
		return errors.New("negative number of processes or connections")
	}
	return nil
}

// isHostPort accepts an IP address or a host name, with a port number: what
// nginx resolves once, when it starts.
func isHostPort(s string) bool {
	if a, err := netip.ParseAddrPort(s); err == nil {
		return a.Port() != 0 && a.Addr().Zone() == ""
	}
	name, port, ok := strings.Cut(s, ":")
	n, err := strconv.ParseUint(port, 10, 16)
	return ok && err == nil && n > 0 && name != "unix" && host.MatchString(name) // unix: is a path to nginx
}
