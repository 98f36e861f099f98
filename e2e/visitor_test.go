package e2e

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/playwright-community/playwright-go"

	"github.com/samedoor/samedoor/e2e/pwtest"
	"github.com/samedoor/samedoor/internal/clustertest"
)

func TestMain(m *testing.M) { os.Exit(pwtest.Main(m)) }

// sticky are the strategies that promise to bring every request of a session
// to its worker.
var sticky = []string{"nginx", "server", "master", "kernel", "sid", "redis"}

// eachSticky runs f for each of them, with 4 workers. Two clusters run at a
// time on two cores, as `go test` bounds parallel tests.
func eachSticky(t *testing.T, f func(t *testing.T, c *clustertest.Cluster), flags ...string) {
	for _, strategy := range sticky {
		t.Run(strategy, func(t *testing.T) {
			t.Parallel()
			f(t, start(t, strategy, flags...))
		})
	}
}

// start starts a cluster, unless there is no browser to look at it with.
func start(t *testing.T, strategy string, flags ...string) *clustertest.Cluster {
	t.Helper()
	pwtest.Browser(t)
	return clustertest.Start(t, append([]string{"--strategy", strategy}, flags...)...)
}

// address returns the i-th client's: each in a /24 of its own, since nginx's
// ip_hash looks no further.
func address(i int) string { return fmt.Sprintf("127.0.%d.%d", i, i) }

// A visitor has the page open, in a browser of their own so to speak: nothing
// is shared with other visitors but the process.
type visitor struct {
	playwright.Page
	t       *testing.T
	cluster *clustertest.Cluster
	network *pwtest.Network

	mu        sync.Mutex
	pool      map[int]bool          // connections that answers came over, as the browser numbers them
	responses []playwright.Response // of Socket.IO requests
	upgrades  []handshake
	console   []string // warnings and errors
}

// handshake is how a WebSocket's was answered. Playwright keeps it to itself;
// the browser's own protocol tells.
type handshake struct {
	status int
	header map[string]string // names in lower case
}

// visit opens the page for who comes from address(i). The path's fragment names a room.
func visit(t *testing.T, c *clustertest.Cluster, i int, path string, options ...playwright.BrowserNewContextOptions) *visitor {
	t.Helper()
	n := pwtest.NewNetwork(t, address(i))
	return visitIn(t, c, n, pwtest.Context(t, n, options...), path)
}

// visitIn opens the page in a tab of its own, beside others of the context.
func visitIn(t *testing.T, c *clustertest.Cluster, n *pwtest.Network, ctx playwright.BrowserContext, path string) *visitor {
	t.Helper()
	v := &visitor{t: t, cluster: c, network: n, pool: map[int]bool{}, Page: pwtest.Page(t, ctx)}
	// Handlers only take notes: calling the browser from within one waits forever.
	v.OnResponse(func(r playwright.Response) {
		if strings.Contains(r.URL(), "/socket.io/?") {
			v.note(func() { v.responses = append(v.responses, r) })
		}
	})
	v.OnConsole(func(m playwright.ConsoleMessage) {
		if kind := m.Type(); kind == "error" || kind == "warning" {
			v.note(func() { v.console = append(v.console, kind+": "+m.Text()) })
		}
	})
	cdp, err := ctx.NewCDPSession(v.Page)
	v.must(err)
	cdp.On("Network.webSocketHandshakeResponseReceived", func(event map[string]any) {
		response := event["response"].(map[string]any)
		h := handshake{status: int(response["status"].(float64)), header: map[string]string{}}
		for name, value := range response["headers"].(map[string]any) {
			h.header[strings.ToLower(name)], _ = value.(string)
		}
		v.note(func() { v.upgrades = append(v.upgrades, h) })
	})
	cdp.On("Network.responseReceived", func(event map[string]any) {
		id, _ := event["response"].(map[string]any)["connectionId"].(float64)
		v.note(func() { v.pool[int(id)] = true })
	})
	_, err = cdp.Send("Network.enable", nil)
	v.must(err)
	_, err = v.Goto(c.URL + path)
	v.must(err)
	return v
}

func (v *visitor) note(f func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f()
}

func (v *visitor) must(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}

// expect asserts on an element, waiting for it for at most limit.
func (v *visitor) expect(l playwright.Locator, limit time.Duration) playwright.LocatorAssertions {
	return playwright.NewPlaywrightAssertions(float64(limit.Milliseconds())).Locator(l)
}

func (v *visitor) button(name string) playwright.Locator {
	return v.GetByRole("button", playwright.PageGetByRoleOptions{Name: name, Exact: playwright.Bool(true)})
}

// connect presses the button and waits for the WebSocket.
func (v *visitor) connect() {
	v.t.Helper()
	v.must(v.button("Connect").Click())
	v.connected(5 * time.Second)
}

// connected waits until both namespaces were answered over a WebSocket.
func (v *visitor) connected(limit time.Duration) {
	v.t.Helper()
	v.must(v.expect(v.GetByTestId("transport"), limit).ToHaveText("websocket"))
	v.must(v.expect(v.GetByTestId("reply-root"), limit).ToHaveText(regexp.MustCompile(`^/: \d+$`)))
	v.must(v.expect(v.GetByTestId("reply-ws"), limit).ToHaveText(regexp.MustCompile(`^\d+$`)))
}

// has tells whether an element is there now.
func (v *visitor) has(l playwright.Locator) bool {
	v.t.Helper()
	n, err := l.Count()
	v.must(err)
	return n > 0
}

// text returns that of an element by its test id, its spaces plain: those that
// hold a word and its number together, too.
func (v *visitor) text(id string) string {
	v.t.Helper()
	s, err := v.GetByTestId(id).TextContent()
	v.must(err)
	return strings.ReplaceAll(s, "\u00a0", " ")
}

// slot returns the slot of the worker that the page says it is connected to.
func (v *visitor) slot() int {
	v.t.Helper()
	n, err := strconv.Atoi(v.text("worker"))
	if err != nil {
		v.t.Fatalf("no worker is shown: %v", err)
	}
	return n
}

// apart returns two visitors who are connected to different workers: the
// second is the first who is, of those who come from further addresses.
func apart(t *testing.T, c *clustertest.Cluster, names ...string) (a, b *visitor) {
	t.Helper()
	come := func(i, who int) *visitor {
		v := visit(t, c, i, "/page")
		if who < len(names) {
			v.rename(names[who])
		}
		v.connect()
		return v
	}
	a = come(1, 0)
	for i := 2; i < 14; i++ {
		if b = come(i, 1); b.slot() != a.slot() {
			return a, b
		}
		v := b
		v.must(v.Context().Close())
	}
	t.Fatal("14 addresses, and all reached the same worker")
	return nil, nil
}

// rename sets the visitor's name.
func (v *visitor) rename(name string) {
	v.t.Helper()
	field := v.GetByLabel("Your name")
	v.must(field.Fill(name))
	v.must(field.Press("Enter"))
}

// say sends a message.
func (v *visitor) say(text string) {
	v.t.Helper()
	v.must(v.GetByLabel("Message", playwright.PageGetByLabelOptions{Exact: playwright.Bool(true)}).Fill(text))
	v.must(v.button("Send").Click())
}

// A message as the page shows it. One that is not stored has no offset.
type message struct{ Offset, State, Name, Text string }

// messages returns what the conversation shows, in its order.
func (v *visitor) messages() []message {
	v.t.Helper()
	all, err := v.Evaluate(`() => {
		let name = "";
		return [...document.querySelectorAll("[data-testid=messages] .msg")].map((el) => {
			name = el.querySelector(".msg-name")?.textContent ?? name;
			return [el.dataset.offset ?? "", el.dataset.state, name, el.querySelector(".msg-text").textContent];
		});
	}`)
	v.must(err)
	var ms []message
	for _, one := range all.([]any) {
		f := one.([]any)
		ms = append(ms, message{f[0].(string), f[1].(string), f[2].(string), f[3].(string)})
	}
	return ms
}

// sees waits until the conversation holds a stored message.
func (v *visitor) sees(limit time.Duration, text string) {
	v.t.Helper()
	stored := v.GetByTestId("messages").Locator("[data-offset]").Filter(playwright.LocatorFilterOptions{HasText: text})
	v.must(v.expect(stored.First(), limit).ToBeVisible())
}
