package e2e

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/playwright-community/playwright-go"

	"github.com/samedoor/samedoor/e2e/pwtest"
	"github.com/samedoor/samedoor/internal/clustertest"
)

// One comparison of all strategies serves all these tests.
func TestCompare(t *testing.T) {
	t.Parallel()
	pwtest.Browser(t)
	c := clustertest.Compare(t, nil)
	var state compareState
	if err := c.Get("/compare/state", &state); err != nil {
		t.Fatal(err)
	}
	t.Run("handshake", func(t *testing.T) { compareHandshakes(t, c, state) })
	t.Run("clients", func(t *testing.T) { compareClients(t, c, state) })
	t.Run("orders", func(t *testing.T) { compareOrders(t, c) })
	for _, scheme := range []*playwright.ColorScheme{playwright.ColorSchemeLight, playwright.ColorSchemeDark} {
		t.Run("axe "+string(*scheme), func(t *testing.T) {
			v := visit(t, c, 5, "/", playwright.BrowserNewContextOptions{ColorScheme: scheme})
			v.axe("idle")
			v.shake()
			v.axe("after a handshake")
		})
	}
	t.Run("narrow", func(t *testing.T) {
		v := visit(t, c, 6, "/compare", playwright.BrowserNewContextOptions{Viewport: &playwright.Size{Width: 320, Height: 568}})
		v.fits("idle")
		v.shake()
		v.fits("after a handshake")
	})
	t.Run("keyboard", func(t *testing.T) {
		v := visit(t, c, 7, "/compare")
		v.tabTo("Run the handshake")
		v.must(v.Keyboard().Press("Enter"))
		v.must(v.expect(v.Locator("[data-strategy=master][data-verdict=good]"), soon).ToBeVisible())
	})
	t.Run("still", func(t *testing.T) { compareStill(t, c) })
}

type compareState struct {
	Strategies []struct {
		Name, State, Reason string
		Control             bool
		Port, Restarts      int
	}
	Run     struct{ Running bool }
	Results *compareResults
}

type compareResults struct {
	Schema, Clients, Workers int
	Note, At                 string
	Strategies               []struct {
		Name        string
		State       string
		CameThrough int `json:"came_through"`
		Failed      int
		Requests    int
		Status400   int `json:"status_400"`
		Forwarded   int
		MedianMS    *float64 `json:"median_ms"`
		Sessions    []int
	}
}

// shake runs the handshake and waits until it went through all strategies.
func (v *visitor) shake() {
	v.t.Helper()
	v.must(v.button("Run the handshake").Click())
	v.must(v.expect(v.Locator("#shake:disabled"), soon).ToHaveCount(0))
	v.must(v.expect(v.Locator(".strat[data-state=ready]:is([data-verdict=idle], [data-verdict=busy])"), 30*time.Second).ToHaveCount(0))
	v.must(v.expect(v.button("Run the handshake"), soon).ToBeEnabled())
}

// compare runs the handshake, then 20 clients, and waits until all came through
// somewhere.
func (v *visitor) compare() {
	v.t.Helper()
	v.shake()
	v.must(v.button("Run 20 clients").Click())
	v.must(v.expect(v.GetByTestId("verdict"), time.Minute).ToContainText("all 20"))
}

// none fails (but for luck), the others come to a WebSocket, and the numbers on
// the page are those that the clusters' own traces tell.
func compareHandshakes(t *testing.T, c *clustertest.Cluster, state compareState) {
	broke := false
	for i := 1; i <= 5 && !broke; i++ {
		v := visit(t, c, i, "/compare")
		v.shake()
		for _, s := range state.Strategies {
			row := v.Locator(fmt.Sprintf("[data-strategy=%q]", s.Name))
			if s.Control {
				verdict, err := row.GetAttribute("data-verdict")
				v.must(err)
				broke = verdict == "bad"
			} else {
				v.must(v.expect(row, soon).ToHaveAttribute("data-verdict", "good"))
			}
			v.counts(row, s.Port, s.Control)
		}
		if broke {
			v.must(v.expect(v.Locator("[data-control] .shake-verdict"), soon).ToContainText("the session lives in worker"))
			v.must(v.expect(v.GetByTestId("verdict"), soon).ToContainText("none broke"))
		}
		asked := v.network.Dialed()
		if slices.ContainsFunc(asked, func(a string) bool { return !strings.HasPrefix(a, "127.0.0.1:") }) {
			t.Errorf("the page connects to %v", asked)
		}
		v.note(func() {
			for _, line := range v.console {
				if !strings.Contains(line, "400 (Bad Request)") && !strings.Contains(line, "WebSocket connection to") { // none's
					t.Errorf("console: %s", line)
				}
			}
		})
	}
	if !broke {
		t.Error("the handshake never broke in none")
	}
}

// counts compares a row's numbers with the cluster's trace.
func (v *visitor) counts(row playwright.Locator, port int, control bool) {
	v.t.Helper()
	sid, err := row.GetAttribute("data-sid")
	v.must(err)
	cluster := &clustertest.Cluster{URL: fmt.Sprintf("http://127.0.0.1:%d", port)}
	var said string
	fact := func(name string) string {
		s, err := row.Locator(fmt.Sprintf("[data-fact=%q]", name)).TextContent()
		v.must(err)
		return strings.TrimSpace(strings.ReplaceAll(s, "worker", "")) // for those who hear it
	}
	matches := func() bool {
		requests, forwarded := 0, 0
		touched := map[int]bool{}
		for _, e := range traced(v.t, cluster, sid) {
			requests++
			touched[e.Slot] = true
			if e.Via >= 0 {
				forwarded++
				touched[e.Via] = true
			}
			if !e.OK && !control {
				v.t.Errorf("at port %d: %+v", port, e)
			}
		}
		said = fmt.Sprintf("%s of %d requests, %s of %d forwarded, workers %s of %v", fact("requests"), requests, fact("forwarded"), forwarded, fact("workers"), touched)
		return requests > 2 && fact("requests") == strconv.Itoa(requests) && fact("forwarded") == strconv.Itoa(forwarded) &&
			len(strings.Fields(fact("workers"))) == len(touched)
	}
	for end := time.Now().Add(10 * time.Second); !matches(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			v.t.Fatalf("the page tells %s at port %d", said, port)
		}
	}
}

// Twenty clients: the control loses most, nobody else any; all of it can be
// taken along.
func compareClients(t *testing.T, c *clustertest.Cluster, state compareState) {
	v := visit(t, c, 1, "/compare")
	if err := v.Context().GrantPermissions([]string{"clipboard-read", "clipboard-write"}); err != nil {
		t.Fatal(err)
	}
	v.must(v.button("Run 20 clients").Click())
	for _, s := range state.Strategies {
		row := v.Locator(fmt.Sprintf("[data-strategy=%q]", s.Name))
		if !s.Control {
			v.must(v.expect(row.Locator("[data-fact=share]"), time.Minute).ToHaveText("20 of 20"))
		}
	}
	var r compareResults
	v.must(c.Get("/compare/results.json", &r))
	if r.Schema != 1 || r.Clients != 20 || r.Workers != 4 || r.Note != "" || len(r.Strategies) != len(state.Strategies) {
		t.Errorf("results: %+v", r)
	}
	for i, s := range r.Strategies {
		opened := 0
		used := 0
		for _, n := range s.Sessions {
			opened += n
			used += min(n, 1)
		}
		switch {
		case s.CameThrough+s.Failed != 20 || opened != 20 || used < 2:
			t.Errorf("%s: %+v", s.Name, s)
		case state.Strategies[i].Control && (s.CameThrough > 8 || s.Status400 < 12 || s.Forwarded > 0):
			t.Errorf("the control: %+v", s)
		case !state.Strategies[i].Control && (s.Failed > 0 || s.Status400 > 0 || s.Requests != 80 || s.MedianMS == nil):
			t.Errorf("%s: %+v", s.Name, s)
		case (s.Name == "redis") != (s.Forwarded > 0):
			t.Errorf("%s forwarded %d", s.Name, s.Forwarded)
		}
	}

	v.must(v.button("Copy JSON").Click())
	v.must(v.expect(v.button("Copied"), soon).ToBeVisible())
	copied, err := v.Evaluate("navigator.clipboard.readText()")
	v.must(err)
	var again compareResults
	v.must(json.Unmarshal([]byte(copied.(string)), &again))
	if again.Clients != 20 || len(again.Strategies) != len(r.Strategies) {
		t.Errorf("copied: %v", copied)
	}
	file, err := v.ExpectDownload(func() error {
		return v.GetByRole("link", playwright.PageGetByRoleOptions{Name: "Download SVG"}).Click()
	})
	v.must(err)
	path, err := file.Path()
	v.must(err)
	picture, err := os.ReadFile(path)
	v.must(err)
	if err := wellFormed(picture); err != nil || !strings.Contains(string(picture), "20 of 20") {
		t.Errorf("the picture (%v): %.300s", err, picture)
	}
	v.must(v.expect(v.GetByTestId("verdict"), soon).ToContainText("through, the others all 20"))
	v.axe("after a run")
}

func wellFormed(b []byte) error {
	for d := xml.NewDecoder(strings.NewReader(string(b))); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// Nothing jumps while results come in.
func compareStill(t *testing.T, c *clustertest.Cluster) {
	for _, width := range []int{1280, 390} {
		v := visit(t, c, 8, "/compare", playwright.BrowserNewContextOptions{Viewport: &playwright.Size{Width: width, Height: 900}})
		v.must(v.expect(v.Locator(".strat-page a").First(), soon).ToBeVisible())
		v.compare()
		v.still()
	}
}

// What can't run here says why, and the others go on; one that dies comes back.
func TestCompareWithout(t *testing.T) {
	t.Parallel()
	pwtest.Browser(t)
	c := clustertest.Compare(t, []string{"PATH=/nowhere"}, "--strategies", "nginx,master,server", "--workers", "2")
	if !strings.Contains(c.Log(), "/compare strategies=master,server\n") {
		t.Errorf("the ready line names nginx:\n%s", c.Log())
	}
	v := visit(t, c, 1, "/compare")
	v.must(v.expect(v.Locator("[data-strategy=nginx] .absent"), soon).ToContainText("apt-get install nginx"))
	v.shake()
	v.must(v.expect(v.Locator("[data-strategy=master]"), soon).ToHaveAttribute("data-verdict", "good"))
	v.axe("without nginx")

	// One that hangs holds nobody up.
	var hangs clustertest.Status
	v.must((&clustertest.Cluster{URL: fmt.Sprintf("http://127.0.0.1:%d", portOf(t, c, "server"))}).Get("/cluster", &hangs))
	signal := func(s syscall.Signal) {
		for _, w := range hangs.Workers {
			if err := syscall.Kill(w.PID, s); err != nil {
				t.Fatal(err)
			}
		}
	}
	signal(syscall.SIGSTOP)
	v.must(v.button("Run the handshake").Click())
	v.must(v.expect(v.Locator("[data-strategy=server]"), 30*time.Second).ToHaveAttribute("data-verdict", "bad"))
	v.must(v.expect(v.button("Run the handshake"), soon).ToBeEnabled())
	v.must(v.expect(v.Locator("[data-strategy=master]"), soon).ToHaveAttribute("data-verdict", "good"))
	signal(syscall.SIGCONT)

	died := c.Serving("master")
	if err := syscall.Kill(died, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	v.must(v.expect(v.Locator("[data-strategy=master]"), time.Minute).ToContainText("It died and was started again"))
	v.must(v.expect(v.Locator("[data-strategy=master]"), time.Minute).ToHaveAttribute("data-state", "ready"))
	if again := c.Serving("master"); again == died {
		t.Error("it is the same process")
	}
	v.shake()
	v.must(v.expect(v.Locator("[data-strategy=master]"), soon).ToHaveAttribute("data-verdict", "good"))
}

// Over IPv6, whose literals a Content-Security-Policy does not know.
func TestCompareIPv6(t *testing.T) {
	t.Parallel()
	pwtest.Browser(t)
	c := clustertest.Compare(t, nil, "--addr", "[::1]:0", "--strategies", "server,master", "--workers", "2")
	v := &visitor{Page: pwtest.Page(t, pwtest.Context(t, nil)), t: t, cluster: c}
	_, err := v.Goto(c.URL + "/compare")
	v.must(err)
	v.shake()
	for _, name := range []string{"server", "master"} {
		v.must(v.expect(v.Locator("[data-strategy="+name+"]"), soon).ToHaveAttribute("data-verdict", "good"))
	}
	_, err = v.Goto(strings.Replace(c.URL, port(c), strconv.Itoa(portOf(t, c, "server")), 1) + "/page")
	v.must(err)
	v.connect()
}

func portOf(t *testing.T, c *clustertest.Cluster, strategy string) int {
	t.Helper()
	var state compareState
	if err := c.Get("/compare/state", &state); err != nil {
		t.Fatal(err)
	}
	for _, s := range state.Strategies {
		if s.Name == strategy {
			return s.Port
		}
	}
	t.Fatalf("no %s in %+v", strategy, state)
	return 0
}
