package e2e

import (
	"testing"

	"github.com/playwright-community/playwright-go"

	"github.com/samedoor/samedoor/internal/cert/certtest"
)

// A browser takes the page and its files by HTTP/2, and the WebSocket by
// HTTP/1.1, whoever ends TLS.
func TestHTTPS(t *testing.T) {
	for _, strategy := range []string{"master", "nginx", "server"} {
		t.Run(strategy, func(t *testing.T) {
			t.Parallel()
			cert, key := certtest.Write(t, "127.0.0.1")
			c := start(t, strategy, "--strict", "--tls-cert", cert, "--tls-key", key)
			v := visit(t, c, 1, "/page", playwright.BrowserNewContextOptions{IgnoreHttpsErrors: playwright.Bool(true)})
			v.connect()
			v.say("in private")
			v.sees(soon, "in private")
			protocol, err := v.Evaluate(`() => performance.getEntriesByType("navigation")[0].nextHopProtocol`)
			if err != nil || protocol != "h2" {
				t.Errorf("the page came by %v, %v", protocol, err)
			}
			v.note(func() {
				if len(v.console) > 0 {
					t.Errorf("console: %q", v.console)
				}
				if len(v.upgrades) == 0 || v.upgrades[0].status != 101 {
					t.Errorf("upgrades: %+v", v.upgrades)
				}
			})
		})
	}
}
