package worker

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/cert"
	"github.com/samedoor/samedoor/internal/cert/certtest"
	"github.com/samedoor/samedoor/internal/engines"
	"github.com/samedoor/samedoor/internal/logs/logstest"
	"github.com/samedoor/samedoor/strategies"
)

// plain is a strategy of one worker.
type plain struct{}

func (plain) Sockets(int) (netip.AddrPort, [][]*os.File, error) { return netip.AddrPort{}, nil, nil }
func (plain) Front(context.Context) error                       { return nil }
func (plain) Route(w strategies.Worker) http.Handler            { return w.Refuse }
func (plain) Page(*http.Request) strategies.Page                { return strategies.SameOrigin }

// A worker by itself speaks TLS behind a proxy that passes it on, believes that
// proxy about the client, and follows its certificate.
func TestAloneTLS(t *testing.T) {
	certFile, keyFile := certtest.Write(t, "127.0.0.1")
	log := new(logstest.Buffer)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Alone(ctx, AloneConfig{
			Info:   strategies.Info{Name: "plain", New: func(strategies.Config) strategies.Strategy { return plain{} }},
			Listen: "127.0.0.1:0", WorkerPort: 3131, Engine: engines.Native, Hash: "rendezvous",
			TrustProxies: []string{"127.0.0.1"}, TLS: cert.Files{Cert: certFile, Key: keyFile},
		}, slog.New(slog.NewTextHandler(log, nil)))
	}()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	addr := log.Wait(t, `worker ready" address=(\S+)`)

	var serial string
	client := func(intro string) *http.Client {
		return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
			DisableKeepAlives: true,
			DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				_, _ = io.WriteString(c, intro)
				tc := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
				err = tc.HandshakeContext(ctx)
				if err == nil {
					serial = tc.ConnectionState().PeerCertificates[0].SerialNumber.String()
				}
				return tc, err
			},
		}}
	}
	introduced := client("PROXY TCP4 198.51.100.7 127.0.0.1 4711 443\r\n")
	ask := func(c *http.Client, method, path, body string) string {
		t.Helper()
		r, err := http.NewRequest(method, "https://"+addr+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return string(b)
	}
	const polling = "/socket.io/?EIO=4&transport=polling"
	_, rest, _ := strings.Cut(ask(introduced, "GET", polling, ""), `"sid":"`)
	sid, _, _ := strings.Cut(rest, `"`)
	ask(introduced, "POST", polling+"&sid="+sid, "40")
	ask(introduced, "POST", polling+"&sid="+sid, "41")
	log.Wait(t, fmt.Sprintf(`msg=disconnect namespace=/ sid=%s (client=198\.51\.100\.7) `, regexp.QuoteMeta(sid)))

	renewed := certtest.Replace(t, certFile, keyFile, "127.0.0.1", time.Now().Add(time.Hour))
	for end := time.Now().Add(20 * time.Second); serial != renewed; {
		if time.Now().After(end) {
			t.Fatalf("still the old certificate: %s", log)
		}
		ask(client(""), "GET", "/healthz", "")
	}
}
