package e2e

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
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

// Runs are begun by the page alone, known by its own names alone.
func compareOrders(t *testing.T, c *clustertest.Cluster) {
	page := ask(t, "GET", c.URL+"/compare", nil)
	_, token, _ := strings.Cut(page.body, `data-token="`)
	token, _, _ = strings.Cut(token, `"`)
	if len(token) < 20 {
		t.Fatalf("token %q", token)
	}
	ours := map[string]string{"Origin": c.URL, "X-Samedoor-Token": token}
	for name, tt := range map[string]struct {
		header map[string]string
		status int
	}{
		"no token":      {map[string]string{"Origin": c.URL}, 403},
		"another token": {map[string]string{"Origin": c.URL, "X-Samedoor-Token": token + "x"}, 403},
		"no origin":     {map[string]string{"X-Samedoor-Token": token}, 403},
		"another site":  {map[string]string{"Origin": "http://evil.example", "X-Samedoor-Token": token}, 403},
		"another port":  {map[string]string{"Origin": "http://127.0.0.1:1", "X-Samedoor-Token": token}, 403},
		"null":          {map[string]string{"Origin": "null", "X-Samedoor-Token": token}, 403},
		"another name":  {map[string]string{"Host": "evil.example", "Origin": "http://evil.example", "X-Samedoor-Token": token}, 421},
		"the page":      {ours, 202},
	} {
		if got := ask(t, "POST", c.URL+"/compare/stop", tt.header); got.status != tt.status {
			t.Errorf("%s: %d, want %d: %s", name, got.status, tt.status, got.body)
		}
	}
	if got := ask(t, "GET", c.URL+"/compare", map[string]string{"Host": "evil.example"}); got.status != 421 || strings.Contains(got.body, token) {
		t.Errorf("by another name: %d %.200s", got.status, got.body)
	}
	if got := ask(t, "GET", c.URL+"/compare", map[string]string{"Host": "localhost:" + port(c)}); got.status != 200 {
		t.Errorf("as localhost: %d %.200s", got.status, got.body)
	}
	if kept := page.header.Get("Cache-Control"); kept != "no-store" {
		t.Errorf("the page with the token may be kept: %q", kept)
	}
	policy := page.header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
		t.Errorf("policy: %s", policy)
	}

	// One run at a time, and it can be stopped: the results stay those of the last one.
	var before, after compareState
	if err := c.Get("/compare/state", &before); err != nil || before.Results == nil {
		t.Fatalf("no results before: %v", err)
	}
	if got := ask(t, "POST", c.URL+"/compare/run", ours); got.status != 202 {
		t.Fatalf("run: %d %s", got.status, got.body)
	}
	if got := ask(t, "POST", c.URL+"/compare/run", ours); got.status != 409 || !strings.Contains(got.body, "under way") {
		t.Errorf("a second run: %d %s", got.status, got.body)
	}
	ask(t, "POST", c.URL+"/compare/stop", ours)
	clustertest.Until(t, 30*time.Second, "the run ends", func() bool {
		return c.Get("/compare/state", &after) == nil && !after.Run.Running
	})
	if after.Results.At != before.Results.At {
		t.Error("a stopped run has results")
	}
}

type asked struct {
	status int
	body   string
	header http.Header
}

func ask(t *testing.T, method, to string, header map[string]string) asked {
	t.Helper()
	r, err := http.NewRequest(method, to, nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	if h := header["Host"]; h != "" {
		r.Host = h
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return asked{resp.StatusCode, string(b), resp.Header}
}

// Nothing jumps while results come in.
func compareStill(t *testing.T, c *clustertest.Cluster) {
	for _, width := range []int{1280, 390} {
		v := visit(t, c, 8, "/compare", playwright.BrowserNewContextOptions{Viewport: &playwright.Size{Width: width, Height: 900}})
		v.must(v.expect(v.Locator(".strat-page a").First(), soon).ToBeVisible())
		v.shake()
		v.must(v.button("Run 20 clients").Click())
		v.must(v.expect(v.GetByTestId("verdict"), time.Minute).ToContainText("all 20"))
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

// Pictures to look at, as in TestScreenshots.
func TestScreenshotsCompare(t *testing.T) {
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		t.Skip("SCREENSHOTS names no folder")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	pwtest.Browser(t)
	c := clustertest.Compare(t, []string{"PATH=" + os.Getenv("SCREENSHOTS_PATH") + ":" + os.Getenv("PATH")})
	for i, look := range []struct {
		name   string
		size   playwright.Size
		scheme *playwright.ColorScheme
	}{
		{"light", playwright.Size{Width: 1280, Height: 800}, playwright.ColorSchemeLight},
		{"dark", playwright.Size{Width: 1600, Height: 900}, playwright.ColorSchemeDark},
		{"tablet", playwright.Size{Width: 768, Height: 1024}, playwright.ColorSchemeLight},
		{"320px", playwright.Size{Width: 320, Height: 568}, playwright.ColorSchemeLight},
	} {
		v := visit(t, c, i+1, "/compare", playwright.BrowserNewContextOptions{Viewport: &look.size, ColorScheme: look.scheme})
		shot := func(name string) {
			file := filepath.Join(dir, "compare-"+name+"-"+look.name+".png")
			_, err := v.Screenshot(playwright.PageScreenshotOptions{Path: &file, FullPage: playwright.Bool(true)})
			v.must(err)
		}
		if i == 0 {
			shot("idle")
		}
		v.shake()
		v.must(v.button("Run 20 clients").Click())
		v.must(v.expect(v.GetByTestId("verdict"), time.Minute).ToContainText("all 20"))
		shot("ran")
	}
}
