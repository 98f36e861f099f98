package e2e

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/playwright-community/playwright-go"

	"github.com/samedoor/samedoor/internal/clustertest"
)

// What the project is about: connections that go to any worker break the
// handshake, and the page says how. Browsers use connections again, so chance
// leads about one client in five to the same worker often enough for a
// WebSocket within these seconds, and a few more to keep polling there: some
// are tried, until one is out of luck.
func TestNone(t *testing.T) {
	t.Parallel()
	c := start(t, "none")
	for i := 1; i <= 8; i++ {
		if breaks(t, c, i) {
			return
		}
	}
	t.Error("in none, with 4 workers, all clients were connected")
}

// breaks tells whether a client's handshake does, and checks what the browser,
// the page and the workers say then.
func breaks(t *testing.T, c *clustertest.Cluster, i int) bool {
	v := visit(t, c, i, "/page")
	v.must(v.button("Connect").Click())
	told, marked := false, false
	names := regexp.MustCompile(`reached worker (\d)[^.]*session lives in worker (\d)`)
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if v.text("transport") == "websocket" {
			t.Logf("%s: a WebSocket, by chance", address(i))
			return false
		}
		if m := names.FindStringSubmatch(v.text("verdict")); m != nil && m[1] != m[2] {
			told = true
		}
		marked = marked || v.has(v.GetByTestId("timeline").Locator(`[data-step][data-ok="false"][data-status="400"]`))
	}
	var refused []playwright.Response
	v.note(func() {
		for _, r := range v.responses {
			if r.Status() == 400 {
				refused = append(refused, r)
			}
		}
	})
	if len(refused) == 0 {
		t.Logf("%s: polling went well, by chance", address(i))
		return false
	}
	if !told {
		t.Errorf("the page did not name the worker reached and the owner; it says %q", v.text("verdict"))
	}
	if !marked {
		t.Error("the timeline shows no request answered 400")
	}
	v.toldAll()
	body, err := refused[0].Text()
	v.must(err)
	if !strings.Contains(body, `"message":"Session ID unknown"`) {
		t.Errorf("the 400 says %q", body)
	}
	refusals := 0
	for _, w := range c.Status().Workers {
		refusals += w.Refused
	}
	if refusals < len(refused) {
		t.Errorf("/cluster counts %d refusals, this browser alone saw %d", refusals, len(refused))
	}
	v.axe("a failing handshake")
	return true
}

// toldAll checks what the timeline shows of sessions that failed and are over.
func (v *visitor) toldAll() {
	v.t.Helper()
	sid, err := v.mark(`[data-ok="false"]`).First().GetAttribute("data-sid")
	v.must(err)
	v.must(v.button("Disconnect").Click())
	v.tells(sid)
	v.must(v.mark(`[data-ok="false"]`).First().Click())
	v.must(v.expect(v.GetByTestId("opened"), soon).ToContainText(regexp.MustCompile(
		`This request reached worker \d\. Its session lives in worker \d, so worker \d answered 400: Session ID unknown\.`)))
}

// The control: with one worker there is no wrong one. What broke above was
// the way to the worker, and nothing else.
func TestNoneWithOneWorker(t *testing.T) {
	t.Parallel()
	c := start(t, "none", "--workers", "1")
	for i := 1; i <= 2; i++ {
		if slot := oneHandshake(t, c, i); slot != 0 {
			t.Errorf("worker %d of one", slot)
		}
	}
}
