package main

import (
	"math"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/samedoor/samedoor/internal/cert"
	"github.com/samedoor/samedoor/internal/engines"
	"github.com/samedoor/samedoor/internal/worker"
	"github.com/samedoor/samedoor/strategies"
)

// shared are the flags that serve and worker have in common.
type shared struct {
	Strategy     string   `default:"master" help:"Who picks the worker: none, nginx, server, master, kernel, sid or redis." placeholder:"NAME"`
	WorkerPort   int      `default:"3131" help:"Port of slot 0, where workers have ports of their own; also the number a worker is named by." placeholder:"PORT"`
	Redis        string   `help:"URL of the Redis or Valkey that carries messages: redis://host:port/db. Default: an embedded one." placeholder:"URL"`
	PeerAddr     string   `help:"Address on which other hosts' workers forward to this host's (slot 0; the next slots on the next ports). Needs --redis." placeholder:"HOST:PORT"`
	Strict       bool     `help:"Refuse requests that reach the wrong worker instead of forwarding them, to see what a strategy does by itself."`
	Hash         string   `default:"rendezvous" help:"How an address becomes a slot: rendezvous, or digits: the digits of the address as one number, modulo the workers (not with kernel)." placeholder:"NAME"`
	NginxMethod  string   `default:"ip_hash" help:"How nginx picks: ip_hash, hash or sid." placeholder:"NAME"`
	Origins      []string `help:"Further origins whose pages may connect, such as https://chat.example; * for all." placeholder:"ORIGIN"`
	TrustProxies []string `help:"Proxies in front (CIDRs) that are believed about the client's address: X-Forwarded-For, Forwarded, PROXY protocol." placeholder:"CIDR"`
	TLSCert      string   `name:"tls-cert" help:"Certificate (PEM) to serve HTTPS with, and its --tls-key. Both are read again when they change." placeholder:"FILE"`
	TLSKey       string   `name:"tls-key" help:"Its private key (PEM)." placeholder:"FILE"`
	Rate         float64  `default:"20" help:"Chat messages a second that a client may send, twice that at once; 0: no limit." placeholder:"N"`
	Engine       string   `default:"native" help:"Which Socket.IO server: native, or the library zishang520." placeholder:"NAME"`
	Log          string   `default:"text" help:"Format of the log on standard error: text or json." placeholder:"FORMAT"`
}

func (f *shared) tls() cert.Files { return cert.Files{Cert: f.TLSCert, Key: f.TLSKey} }

var nginxMethods = []string{"ip_hash", "hash", "sid"}

// check finds what is wrong with the flags, alone and together.
func (f *shared) check(slots int) (strategies.Info, strategies.PickFunc, error) {
	info, err := chosen(f.Strategy)
	if err != nil {
		return info, nil, err
	}
	hash, err := worker.Hash(f.Hash)
	if err != nil {
		return info, nil, usageError{err}
	}
	switch {
	case f.Strict && info.Name == "redis":
		return info, nil, usage("--strict and --strategy redis contradict each other: redis lives by forwarding; drop one of them")
	case f.Hash == "digits" && info.Name == "kernel":
		return info, nil, usage("--hash digits and --strategy kernel contradict each other: the kernel cannot read an address as text; drop one of them, or choose --strategy master")
	case !slices.Contains(nginxMethods, f.NginxMethod):
		return info, nil, usage("unknown nginx method %q: choose ip_hash, hash or sid", f.NginxMethod)
	case f.NginxMethod != "ip_hash" && info.Name != "nginx":
		return info, nil, usage("--nginx-method goes with --strategy nginx, not %s: drop one of them", info.Name)
	case f.PeerAddr != "" && f.Redis == "":
		return info, nil, usage("--peer-addr needs --redis: other hosts learn of it there")
	case !slices.Contains(engines.Names, f.Engine):
		return info, nil, usage("unknown engine %q: choose %s", f.Engine, strings.Join(engines.Names, " or "))
	case f.Log != "text" && f.Log != "json":
		return info, nil, usage("unknown log format %q: choose text or json", f.Log)
	case !(f.Rate >= 0 && f.Rate <= math.MaxInt32): // nor NaN
		return info, nil, usage("--rate %g is no number of messages a second: 0 sets no limit", f.Rate)
	case f.WorkerPort < 1 || f.WorkerPort+slots-1 > 65535:
		return info, nil, usage("--worker-port %d: there are no %d ports from there up to 65535", f.WorkerPort, slots)
	}
	if f.PeerAddr != "" {
		if err := checkAddr("--peer-addr", f.PeerAddr, slots); err != nil {
			return info, nil, err
		}
		host, port, _ := net.SplitHostPort(f.PeerAddr)
		if a, err := netip.ParseAddr(host); host == "" || port == "0" || err == nil && a.IsUnspecified() {
			return info, nil, usage("--peer-addr %s cannot be told to others: write an address of this host that they reach, and a port", f.PeerAddr)
		}
	}
	if _, err := strategies.ParseProxies(f.TrustProxies); err != nil {
		return info, nil, usageError{err}
	}
	if err := f.tls().Check(); err != nil {
		return info, nil, usageError{err}
	}
	for _, o := range f.Origins {
		u, err := url.Parse(o)
		if o != "*" && (err != nil || u.Host == "" || strings.Trim(u.Path, "/") != "" || (u.Scheme != "http" && u.Scheme != "https")) {
			return info, nil, usage("--origins %q is not an origin: write it like https://chat.example:8443", o)
		}
	}
	return info, hash, nil
}

// checkAddr checks host:port, and that slots ports follow.
func checkAddr(flag, addr string, slots int) error {
	_, port, err := net.SplitHostPort(addr)
	n, perr := strconv.ParseUint(port, 10, 16)
	if err != nil || perr != nil || int(n)+slots-1 > 65535 {
		return usage("%s %q is not an address: write host:port, such as 127.0.0.1:8080 or [::1]:8080", flag, addr)
	}
	return nil
}
