package e2e

import (
	"fmt"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/playwright-community/playwright-go"

	"github.com/samedoor/samedoor/internal/clustertest"
)

// row is a worker's in the panel.
func (v *visitor) row(slot int) playwright.Locator {
	return v.GetByTestId("cluster").Locator(fmt.Sprintf(`tr[data-slot="%d"]`, slot))
}

// The panel tells what /cluster does.
func TestPanel(t *testing.T) {
	t.Parallel()
	c := start(t, "redis") // which forwards
	v := visit(t, c, 1, "/page#panel")
	v.connect()
	clustertest.Until(t, 20*time.Second, "the panel's numbers are those of /cluster", func() bool {
		var all struct {
			Workers []map[string]any
		}
		v.must(c.Get("/cluster", &all))
		forwarded := 0.0
		for _, w := range all.Workers {
			forwarded += w["forwarded"].(float64)
			for _, name := range []string{"state", "sessions", "restarts", "forwarded", "refused"} {
				cell, err := v.row(int(w["slot"].(float64))).Locator("[data-of=" + name + "]").TextContent()
				v.must(err)
				if cell != fmt.Sprint(w[name]) {
					return false
				}
			}
		}
		return forwarded > 0
	})

	// Folded, or out of sight, it asks for nothing by itself.
	asked := 0
	v.OnRequest(func(r playwright.Request) {
		if r.URL() == c.URL+"/cluster" {
			v.note(func() { asked++ })
		}
	})
	count := func() (n int) { v.note(func() { n = asked }); return n }
	clustertest.Until(t, 10*time.Second, "it asks again", func() bool { _ = v.text("worker"); return count() > 0 })
	v.must(v.Locator("#requests > summary").Click()) // what requests do is a reason to ask, too
	v.must(v.Locator("#workers > summary").Click())
	time.Sleep(time.Second)
	before := count()
	time.Sleep(7 * time.Second)
	if after := count(); after != before {
		t.Errorf("folded, the panel asked %d times", after-before)
	}
}

// Workers are killed and restarted by keyboard, and the page tells what it
// meant for oneself.
func TestDemo(t *testing.T) {
	t.Parallel()
	c := start(t, "master")
	v := visit(t, c, 1, "/page#demo")
	v.connect()
	v.say("before")
	v.sees(soon, "before")
	mine := v.slot()
	other := (mine + 1) % 4
	fate := v.Locator("#fate")
	restarts := func(slot, n int) {
		t.Helper()
		v.must(v.expect(v.row(slot).Locator("[data-of=restarts]"), 20*time.Second).ToHaveText(strconv.Itoa(n)))
		v.must(v.expect(v.row(slot).Locator("[data-of=state]"), 20*time.Second).ToHaveText("ready"))
	}

	v.must(v.box().Fill("a draft"))
	pid := c.Worker(mine)
	v.tabTo(fmt.Sprintf("Kill worker %d", mine))
	v.must(v.Keyboard().Press("Enter"))
	v.must(v.expect(fate, 20*time.Second).ToContainText(fmt.Sprintf("Worker %d, which held your session, was killed. You reconnected to its successor after", mine)))
	v.must(v.expect(fate, soon).ToContainText("nothing was lost."))
	v.must(v.expect(v.GetByTestId("messages"), soon).ToContainText("which held your session, was killed"))
	v.must(v.expect(v.box(), soon).ToHaveValue("a draft"))
	v.connected(soon)
	restarts(mine, 1)
	if c.Worker(mine) == pid {
		t.Error("the worker was not killed")
	}
	v.axe("after a kill")

	sid := v.text("sid")
	for i, order := range []string{"Kill", "Restart"} {
		v.must(v.button(fmt.Sprintf("%s worker %d", order, other)).Focus())
		v.must(v.Keyboard().Press("Space"))
		v.must(v.expect(fate, 20*time.Second).ToHaveText(fmt.Sprintf("Worker %d was %s; its successor is ready. Your session lives in worker %d and did not notice.",
			other, map[string]string{"Kill": "killed", "Restart": "restarted"}[order], mine)))
		restarts(other, i+1)
	}
	if got := v.text("sid"); got != sid {
		t.Errorf("the session went from %s to %s", sid, got)
	}

	v.must(v.button(fmt.Sprintf("Restart worker %d", mine)).Press("Enter"))
	v.must(v.expect(fate, 20*time.Second).ToContainText(fmt.Sprintf("Worker %d, which held your session, was restarted.", mine)))
	v.connected(soon)
	v.must(v.box().Press("Enter"))
	v.sees(soon, "a draft")
	v.note(func() {
		for _, line := range v.console {
			t.Logf("console: %s", line)
		}
	})
}

// Without --demo nobody is offered what would be refused.
func TestNoDemo(t *testing.T) {
	t.Parallel()
	c := start(t, "master", "--no-demo")
	v := visit(t, c, 1, "/page")
	v.connect()
	v.must(v.expect(v.row(0).Locator("[data-of=state]"), soon).ToHaveText("ready"))
	if n, err := v.GetByTestId("cluster").Locator("tbody").GetByRole("button").Count(); err != nil || n > 0 {
		t.Errorf("%d buttons, %v", n, err)
	}
}

// Sixteen workers: each with its number, on any screen, and those that a
// request came to with a lane.
func TestManyWorkers(t *testing.T) {
	t.Parallel()
	c := start(t, "redis", "--workers", "16") // where any of them may answer
	for _, width := range []int{320, 1280} {
		v := visit(t, c, 1, "/page#many", playwright.BrowserNewContextOptions{Viewport: &playwright.Size{Width: width, Height: 800}})
		v.connect()
		_, err := v.Evaluate(`() => { document.getElementById("workers").open = true; }`)
		v.must(err)
		v.must(v.expect(v.GetByTestId("workers").Locator("li"), soon).ToHaveCount(16))
		for slot := range 16 {
			v.must(v.expect(v.row(slot).Locator(".tag"), soon).ToHaveText("worker " + strconv.Itoa(slot)))
			v.must(v.expect(v.row(slot).Locator("[data-of=state]"), 20*time.Second).ToHaveText("ready"))
		}
		v.tells(v.text("sid"))
		v.must(v.expect(v.Locator("#requests-note"), soon).ToContainText("8 of 16 workers have a lane"))
		v.must(v.expect(v.Locator("#timeline .tl-side"), soon).ToHaveCount(8))
		v.fits("with 16 workers")
		v.axe("with 16 workers")
	}
}

// A cluster grows and shrinks under an open page: doors, lanes and numbers
// follow, and who lived in a worker that left is told.
func TestScaled(t *testing.T) {
	t.Parallel()
	c := start(t, "master", "--workers", "3")
	var v *visitor
	for i := 1; v == nil || v.slot() == 0; i++ {
		v = visit(t, c, i, "/page#scaled")
		v.connect()
	}
	v.say("before")
	v.sees(soon, "before")
	left := v.slot()
	follows := func(workers, lanes int) {
		t.Helper()
		if said, code := c.Scale(workers); code != 0 {
			t.Fatalf("scale %d: %d %s", workers, code, said)
		}
		v.must(v.expect(v.GetByTestId("workers").Locator("li"), 20*time.Second).ToHaveCount(workers))
		v.must(v.expect(v.GetByTestId("cluster").Locator("tbody tr"), soon).ToHaveCount(workers))
		v.must(v.expect(v.Locator("#timeline .tl-side"), soon).ToHaveCount(lanes))
	}
	follows(5, 5)
	v.must(v.expect(v.row(4).Locator("[data-of=state]"), 20*time.Second).ToHaveText("ready"))
	follows(1, 2) // that of the session which was
	v.must(v.expect(v.Locator("#fate"), 30*time.Second).ToContainText(fmt.Sprintf("Worker %d, which held your session, left the cluster. You reconnected to worker 0 after", left)))
	v.connected(20 * time.Second)
	v.tells(v.text("sid"))
	v.say("after")
	v.sees(soon, "after")
	v.sees(soon, "before")
	if got := v.slot(); got != 0 {
		t.Errorf("in worker %d of one", got)
	}
}

// A slot that was given up names no process any more, and the table tells the
// session that was lost from the one that took its place.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	c := start(t, "master", "--max-restarts", "0")
	v := visit(t, c, 1, "/page#given-up")
	v.connect()
	v.tells(v.text("sid"))
	mine, err := strconv.Atoi(v.text("worker"))
	v.must(err)
	v.must(v.expect(v.row(mine).Locator("th"), soon).ToContainText(fmt.Sprintf("pid %d", c.Worker(mine))))
	if err := syscall.Kill(c.Worker(mine), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	v.must(v.expect(v.row(mine).Locator("[data-of=state]"), 20*time.Second).ToHaveText("given up"))
	v.must(v.expect(v.row(mine).Locator("th"), soon).Not().ToContainText("pid"))
	v.connected(20 * time.Second)
	v.tells(v.text("sid"))
	v.must(v.button("Table").Click())
	for _, session := range []string{fmt.Sprintf("1: %d.", mine), "2: "} {
		v.must(v.expect(v.Locator("#table td:nth-child(2)").Filter(playwright.LocatorFilterOptions{HasText: session}).First(), soon).ToBeVisible())
	}
}
