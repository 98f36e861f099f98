package strategytest

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/cert/certtest"
	"github.com/samedoor/samedoor/internal/clustertest"
	"github.com/samedoor/samedoor/internal/eioclient"
	"github.com/samedoor/samedoor/strategies"
)

const secure = 12 // clients

// overTLS serves the same cluster by HTTPS.
func overTLS(t *testing.T, info strategies.Info, want Want, args []string) {
	cert, key := certtest.Write(t, "127.0.0.1")
	if want.Exact {
		args = append(args, "--strict")
	}
	c := clustertest.Start(t, append(args, "--tls-cert", cert, "--tls-key", key)...)
	if !strings.HasPrefix(c.URL, "https://") {
		t.Fatalf("ready at %s", c.URL)
	}
	whole, slots := 0, map[int]int{}
	for i := range secure {
		_, slot, why := front(c).handshake(from(i))
		if slots[slot]++; why == "" {
			whole++
		} else if want.Sticky {
			t.Errorf("%s: %s", from(i), why)
		}
	}
	if t.Logf("%d of %d handshakes are whole, on slots %v", whole, secure, slots); len(slots) < 2 || !want.Sticky && whole > secure/2 {
		t.Error("is the test one?")
	}
	t.Run("plain HTTP", func(t *testing.T) {
		a, err := eioclient.New("http://"+c.Addr, "").Do("GET", "/page", "")
		if err != nil || a.Status != http.StatusBadRequest || !strings.Contains(a.Body, "HTTP request") {
			t.Errorf("answered %d %q %v", a.Status, a.Body, err)
		}
	})
	t.Run("HTTP 2", func(t *testing.T) { http2(t, c, want) })
	if !info.EndsTLS { // nginx has its own tickets
		t.Run("resumption", func(t *testing.T) { resumes(t, c) })
	}
	if want.Hashed && !info.EndsTLS {
		t.Run("haproxy, which passes TLS on", func(t *testing.T) { passesTLS(t, info, args, cert, key) })
	}
	t.Run("renewal", func(t *testing.T) { renews(t, c, cert, key) })
}

// http2 opens a session and joins by HTTP/2, all on one connection. Where
// strangers are forwarded, they are from there, too.
func http2(t *testing.T, c *clustertest.Cluster, want Want) {
	tr := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: clustertest.Anyone.Clone()}
	defer tr.CloseIdleConnections()
	forwarded := 0
	ask := func(method, path, body string) string {
		r, err := http.NewRequest(method, c.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := tr.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK || resp.Proto != "HTTP/2.0" {
			t.Fatalf("%s %s: %s %s %s %v", method, path, resp.Proto, resp.Status, b, err)
		}
		if resp.Header.Get("X-Samedoor-Via") != "" {
			forwarded++
		}
		return string(b)
	}
	ask("GET", "/page", "")
	const polling = "/socket.io/?EIO=4&transport=polling"
	open := ask("GET", polling, "")
	_, rest, _ := strings.Cut(open, `"sid":"`)
	sid, _, _ := strings.Cut(rest, `"`)
	ask("POST", polling+"&sid="+sid, "40")
	if got := ask("GET", polling+"&sid="+sid, ""); !strings.HasPrefix(got, "40{") {
		t.Errorf("joined: %q", got)
	}
	if !want.Sticky || want.Exact {
		return
	}
	for i := range 4 {
		sid, a, err := eioclient.New(c.URL, from(i)).Open()
		if err != nil {
			t.Fatalf("%+v %v", a, err)
		}
		ask("POST", polling+"&sid="+sid, "40")
	}
	if forwarded == 0 {
		t.Error("no stranger among four sessions")
	}
}

// passesTLS puts a balancer in front that can't look into TLS, and tells of its
// clients by the PROXY protocol.
func passesTLS(t *testing.T, info strategies.Info, args []string, cert, key string) {
	c := clustertest.Start(t, append(args, "--tls-cert", cert, "--tls-key", key, "--trust-proxies", proxyAddr)...)
	if blind := info.Caveat != nil; blind != strings.Contains(c.Log(), "TLS hides X-Forwarded-For") {
		t.Errorf("what TLS hides is said: %v\n%s", !blind, c.Log())
	}
	direct, slots := map[int]int{}, map[int]bool{}
	for i := range secure {
		direct[i] = openedBy(t, front(c), from(i))
	}
	url := "https" + strings.TrimPrefix(proxies(info)["haproxy send-proxy-v2"](t, c.Addr), "http")
	for i := range secure {
		_, slot, why := door{Cluster: c, url: url}.handshake(from(i))
		if slots[slot] = true; why != "" || slot != direct[i] {
			t.Errorf("%s on slot %d, directly on %d: %s", from(i), slot, direct[i], why)
		}
	}
	if len(slots) < 2 {
		t.Errorf("all on %v", slots)
	}
}

// resumes takes up one TLS session at all workers.
func resumes(t *testing.T, c *clustertest.Cluster) {
	config := &tls.Config{InsecureSkipVerify: true, ServerName: "127.0.0.1", ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	workers := map[string]bool{}
	ask := func(i int) (slot string, resumed bool) {
		t.Helper()
		conn := dial(t, c, from(i), config)
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadAll(resp.Body) // and with it the next ticket
		return resp.Header.Get("X-Samedoor-Worker"), conn.ConnectionState().DidResume
	}
	for i := range secure {
		slot, resumed := ask(i)
		if resumed != (i > 0) {
			t.Errorf("connection %d, to slot %s, of %v: resumed %v", i, slot, workers, resumed)
		}
		workers[slot] = true
	}
	if len(workers) < 2 {
		t.Errorf("all at %v", workers)
	}
	for _, w := range c.Status().Workers { // none of them is left
		_ = syscall.Kill(w.PID, syscall.SIGKILL)
	}
	if slot, resumed := ask(0); !resumed {
		t.Errorf("the successor in slot %s does not know the keys", slot)
	}
	clustertest.Until(t, 30*time.Second, "all workers are back", func() bool {
		for _, w := range c.Status().Workers {
			if w.State != "ready" || w.Restarts == 0 {
				return false
			}
		}
		return true
	})
}

func dial(t *testing.T, c *clustertest.Cluster, from string, config *tls.Config) *tls.Conn {
	t.Helper()
	d := tls.Dialer{Config: config, NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	conn, err := d.DialContext(ctx, "tcp", c.Addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	return conn.(*tls.Conn)
}

// renews replaces the certificate: new connections get the new one, those that
// are there go on, and a broken pair changes nothing.
func renews(t *testing.T, c *clustertest.Cluster, cert, key string) {
	ws, a, err := eioclient.New(c.URL, from(0)).Upgrade("")
	if err != nil || ws == nil {
		t.Fatalf("%+v %v", a, err)
	}
	defer ws.Close()
	if _, err := eioclient.Ask(ws, "40", "40"); err != nil {
		t.Fatal(err)
	}
	shown := func(i int) string {
		conn := dial(t, c, from(i), clustertest.Anyone)
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	serial := certtest.Replace(t, cert, key, "127.0.0.1", time.Now().Add(time.Hour))
	clustertest.Until(t, 20*time.Second, "all workers serve the new certificate", func() bool {
		for i := range secure {
			if shown(i) != serial {
				return false
			}
		}
		return true
	})
	certtest.Spoil(t, key)
	clustertest.Until(t, 20*time.Second, "the broken key is told of", func() bool {
		return strings.Contains(c.Log(), "the new certificate cannot be used, the old one stays")
	})
	for i := range secure {
		if got := shown(i); got != serial {
			t.Errorf("after a broken renewal %s is shown, want %s", got, serial)
		}
	}
	if _, err := eioclient.Ask(ws, `421["echo",1]`, `431[1]`); err != nil {
		t.Errorf("a connection from before: %v", err)
	}
}
