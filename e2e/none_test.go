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
// handshake, and the page says how.
func TestNone(t *testing.T) {
	t.Parallel()
	c := start(t, "none")
	v := visit(t, c, 1, "/page")
	v.must(v.button("Connect").Click())

	// At least one request is answered by a worker that does not know the session.
	var refused playwright.Response
	clustertest.Until(t, 10*time.Second, "a request is answered 400", func() bool {
		v.note(func() {
			for _, r := range v.responses {
				if r.Status() == 400 {
					refused = r
				}
			}
		})
		return refused != nil
	})
	body, err := refused.Text()
	v.must(err)
	if !strings.Contains(body, `"message":"Session ID unknown"`) {
		t.Errorf("the 400 says %q", body)
	}

	// The page tells where the request went, and where it should have gone.
	verdict := v.GetByTestId("verdict")
	v.must(v.expect(verdict, 10*time.Second).ToContainText(regexp.MustCompile(`reached worker \d`)))
	said := v.text("verdict")
	m := regexp.MustCompile(`reached worker (\d).*(?:session lives in|owner is) worker (\d)`).FindStringSubmatch(said)
	if m == nil || m[1] == m[2] {
		t.Errorf("the page says %q: which worker was reached, and which owns the session?", said)
	}
	bad := v.GetByTestId("timeline").Locator(`[data-step][data-ok="false"]`).First()
	v.must(v.expect(bad, 5*time.Second).ToHaveAttribute("data-status", "400"))
	v.must(v.expect(bad, time.Second).ToHaveAttribute("data-worker", regexp.MustCompile(`^\d$`)))

	// It stays so.
	for end := time.Now().Add(4 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if v.text("transport") == "websocket" {
			t.Fatal("the transport became websocket")
		}
	}
	refusals := 0
	for _, w := range c.Status().Workers {
		refusals += w.Refused
	}
	if refusals == 0 {
		t.Error("/cluster counts no refusal")
	}
	v.axe("a failing handshake")
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
