package e2e

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/playwright-community/playwright-go"

	"github.com/samedoor/samedoor/internal/clustertest"
)

// The timeline tells what the workers tell, mark by mark, and what the browser
// alone knows: what the requests carried.
func TestTimeline(t *testing.T) {
	t.Parallel()
	c := start(t, "master")

	t.Run("as the workers tell", func(t *testing.T) {
		v := visit(t, c, 1, "/page#told")
		v.connect()
		sid := v.text("sid")
		v.tells(sid)
		marks := v.marks(sid)
		if len(marks) < 4 || marks[0].Step != "open" {
			t.Errorf("marks: %v", marks)
		}

		for step, want := range map[string][]string{
			"open":    {sid, "the session's key (sid) is", "GET has no body"},
			"post":    {"CONNECT", "Asks to join namespace /,", "The worker took it"},
			"upgrade": {"101", "2probe", "3probe", "The upgrade may go on", "only the workers can tell it"},
		} {
			v.must(v.mark("[data-step=" + step + "]").First().Click())
			for _, text := range want {
				v.must(v.expect(v.GetByTestId("opened"), soon).ToContainText(text))
			}
		}

		v.say("in a frame")
		v.sees(soon, "in a frame")
		v.must(v.mark("[data-kind=frames]").Click())
		v.must(v.expect(v.GetByTestId("opened"), soon).ToContainText("Emits event “chat”"))
		v.must(v.expect(v.GetByTestId("opened"), soon).ToContainText("in a frame"))
		v.must(v.GetByTestId("opened").GetByText("Close").Focus())
		v.say("another") // what stands open goes on
		v.must(v.expect(v.GetByTestId("opened"), soon).ToContainText("another"))
		v.must(v.GetByTestId("opened").GetByText("Close").Focus())
		time.Sleep(3 * time.Second) // an echo every 2 s
		v.must(v.expect(v.GetByTestId("opened").GetByText("Close"), soon).ToBeFocused())
	})

	t.Run("pause, clear, copy, table", func(t *testing.T) {
		v := visit(t, c, 2, "/page#tools", playwright.BrowserNewContextOptions{Permissions: []string{"clipboard-read", "clipboard-write"}})
		v.must(v.button("Pause").Click())
		v.connect()
		time.Sleep(time.Second)
		if n := len(v.marks("")); n > 0 {
			t.Errorf("%d marks were drawn in a pause", n)
		}
		v.must(v.button("Pause").Click())
		sid := v.text("sid")
		v.tells(sid)

		v.must(v.button("Table").Click())
		rows := v.Locator("#table tbody tr")
		if n, err := rows.Count(); err != nil || n < len(v.marks(sid)) {
			t.Errorf("%d rows for %d marks: %v", n, len(v.marks(sid)), err)
		}
		v.must(v.expect(rows.First(), soon).ToContainText("GET open"))

		v.must(v.button("Copy as text").Click())
		v.must(v.expect(v.button("Copied"), soon).ToBeVisible())
		text, err := v.Evaluate("navigator.clipboard.readText()")
		v.must(err)
		if s := text.(string); !regexp.MustCompile(`GET upgrade +101`).MatchString(s) || strings.Contains(s, sid) {
			t.Errorf("copied:\n%s", s)
		}

		v.must(v.button("Clear").Click())
		v.must(v.expect(v.mark("[data-step]"), soon).ToHaveCount(0))
		v.must(v.expect(v.mark("[data-kind=frames]"), soon).ToHaveCount(1)) // what comes from now on
		v.must(v.button("Disconnect").Click())
		v.connect()
		v.tells(v.text("sid"))
	})

	t.Run("by keyboard", func(t *testing.T) {
		v := visit(t, c, 3, "/page#keys")
		v.connect()
		v.tells(v.text("sid"))
		v.must(v.expect(v.mark("[data-kind=frames]"), soon).ToHaveCount(1)) // drawn last, up to a second later
		v.must(v.expect(v.mark("[tabindex='0']"), soon).ToHaveCount(1))
		for range 40 {
			v.must(v.Keyboard().Press("Tab"))
			if v.has(v.mark(":focus")) {
				break
			}
		}
		v.must(v.Keyboard().Press("Home"))
		v.must(v.expect(v.mark(":focus"), soon).ToHaveAttribute("data-step", "open"))
		for _, m := range v.marks(v.text("sid"))[1:] { // a poll may overtake the first post
			v.must(v.Keyboard().Press("ArrowRight"))
			v.must(v.expect(v.mark(":focus"), soon).ToHaveAttribute("data-step", m.Step))
			if m.Step == "post" {
				break
			}
		}
		v.must(v.Keyboard().Press("Enter"))
		v.must(v.expect(v.GetByTestId("opened"), soon).ToContainText("Asks to join namespace"))
		v.must(v.expect(v.mark(":focus"), soon).ToHaveAttribute("aria-expanded", "true"))
		v.must(v.Keyboard().Press("Escape"))
		v.must(v.expect(v.GetByTestId("opened"), soon).ToBeHidden())
		v.must(v.expect(v.mark(":focus"), soon).ToHaveAttribute("data-step", "post"))
		v.must(v.Keyboard().Press("End"))
		v.must(v.expect(v.mark(":focus"), soon).ToHaveAttribute("data-kind", "frames"))
	})

	t.Run("folded", func(t *testing.T) {
		v := visit(t, c, 4, "/page#folded")
		asked := 0
		v.OnRequest(func(r playwright.Request) {
			if strings.Contains(r.URL(), "/trace?") {
				v.note(func() { asked++ })
			}
		})
		v.must(v.Locator("#requests > summary").Click())
		v.connect()
		v.say("hello")
		v.sees(soon, "hello")
		time.Sleep(6 * time.Second) // the slowest period in which a trace is asked for
		v.note(func() {
			if asked > 0 {
				t.Errorf("folded, it asked for %d traces", asked)
			}
		})
		if v.has(v.mark("[data-step]")) {
			t.Error("folded, it drew marks")
		}
		v.must(v.Locator("#requests > summary").Click())
		v.tells(v.text("sid"))
	})

	t.Run("frames are one mark", func(t *testing.T) {
		v := visit(t, c, 5, "/page#frames")
		v.connect()
		v.tells(v.text("sid"))
		before, err := v.Locator("#timeline *").Count()
		v.must(err)
		for i := range 10 {
			v.say(fmt.Sprintf("message %d", i))
		}
		v.sees(soon, "message 9")
		v.must(v.expect(v.mark("[data-kind=frames]"), soon).ToContainText(regexp.MustCompile(`↑ \d\d sent`)))
		if after, err := v.Locator("#timeline *").Count(); err != nil || after > before+10 {
			t.Errorf("%d elements, %d after ten messages: %v", before, after, err)
		}
	})

	t.Run("falls back", func(t *testing.T) { fallsBack(t, c) })
	t.Run("starts over", func(t *testing.T) { startsOver(t, c) })
}

// A worker dies: its session ends, and the next one begins after a break.
func startsOver(t *testing.T, c *clustertest.Cluster) {
	v := visit(t, c, 7, "/page#over")
	v.connect()
	first := v.text("sid")
	v.tells(first)
	marks := v.marks(first)
	if err := syscall.Kill(c.Worker(v.slot()), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	v.must(v.expect(v.GetByTestId("transport"), soon).ToHaveText("disconnected"))
	v.connected(15 * time.Second)
	second := v.text("sid")
	v.tells(second)
	if after := v.marks(first); !slices.Equal(marks, after) { // the worker's own account died with it
		t.Errorf("the first session was %v, and is %v", marks, after)
	}
	v.must(v.expect(v.Locator(".tl-gap.again"), soon).ToContainText("starts over"))
	v.must(v.expect(v.Locator(".tl-lost"), soon).ToContainText("lost +"))
}

// A WebSocket that no worker ever saw: the browser alone can tell.
func fallsBack(t *testing.T, c *clustertest.Cluster) {
	v := visit(t, c, 6, "/page#back")
	v.network.NoUpgrade()
	v.must(v.button("Connect").Click())
	v.must(v.expect(v.Locator(".tl-phase.fallback"), 15*time.Second).ToContainText("stays with polling"))
	v.say("by polling")
	v.sees(soon, "by polling")
	v.must(v.expect(v.GetByTestId("transport"), soon).ToHaveText("polling"))
	if v.has(v.mark("[data-step=upgrade]")) {
		t.Error("an upgrade is shown that no worker answered")
	}
	v.must(v.expect(v.mark("[data-kind=frames]"), soon).ToHaveCount(0))
}

// A request that was forwarded is shown in the lane of who answered, with a hop
// from the one it reached. Chance may lead a client straight to its worker.
func TestTimelineForwarded(t *testing.T) {
	t.Parallel()
	c := start(t, "redis")
	for i := 1; i <= 8; i++ {
		v := visit(t, c, i, "/page")
		v.connect()
		v.tells(v.text("sid"))
		hops := v.mark(`[data-step]:not([data-via=""])`)
		if n, err := hops.Count(); err != nil || n == 0 {
			v.must(err)
			continue
		}
		v.must(v.expect(v.Locator(".tl-way.forward").First(), soon).ToBeVisible())
		v.must(hops.First().Click())
		v.must(v.expect(v.GetByTestId("opened"), soon).ToContainText("forwarded to where its session lives"))
		return
	}
	t.Error("of 8 clients no request was forwarded")
}

// A mark as the page has it, or an entry of /trace.
type mark struct {
	Step              string
	Status, Slot, Via int
	OK                bool
}

func (v *visitor) mark(selector string) playwright.Locator {
	return v.GetByTestId("timeline").Locator("button.tl-mark" + selector)
}

// marks returns those of a session, or all, in their order.
func (v *visitor) marks(sid string) []mark {
	v.t.Helper()
	all, err := v.Evaluate(`(sid) => [...document.querySelectorAll("[data-testid=timeline] [data-step]")]
		.filter((el) => !sid || el.dataset.sid === sid)
		.map(({ dataset: d }) => [d.step, Number(d.status), Number(d.worker), d.via === "" ? -1 : Number(d.via), d.ok === "true"])`, sid)
	v.must(err)
	var ms []mark
	for _, one := range all.([]any) {
		f := one.([]any)
		ms = append(ms, mark{f[0].(string), f[1].(int), f[2].(int), f[3].(int), f[4].(bool)})
	}
	return ms
}

// tells waits until the timeline shows of a session what the workers tell of it.
func (v *visitor) tells(sid string) {
	v.t.Helper()
	var shown, told []mark
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		shown, told = v.marks(sid), traced(v.t, v.cluster, sid)
		if len(told) > 0 && slices.Equal(shown, told) {
			return
		}
	}
	v.t.Errorf("of %s the timeline shows\n%v\nthe workers tell\n%v", sid, shown, told)
}

func traced(t *testing.T, c *clustertest.Cluster, sid string) (told []mark) {
	t.Helper()
	var entries []struct {
		mark
		Via *int
	}
	if err := c.Get("/trace?sid="+url.QueryEscape(sid), &entries); err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Step == "close" { // an event, not a request
			continue
		}
		e.mark.Via = -1
		if e.Via != nil {
			e.mark.Via = *e.Via
		}
		e.OK = e.Status < 400
		told = append(told, e.mark)
	}
	return told
}
