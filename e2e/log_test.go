package e2e

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/playwright-community/playwright-go"
)

// box is where one writes.
func (v *visitor) box() playwright.Locator {
	return v.GetByLabel("Message", playwright.PageGetByLabelOptions{Exact: playwright.Bool(true)})
}

// number evaluates a script that returns one.
func (v *visitor) number(script string) float64 {
	v.t.Helper()
	out, err := v.Evaluate(script)
	v.must(err)
	switch n := out.(type) {
	case int:
		return float64(n)
	case float64:
		return n
	}
	v.t.Fatalf("%s: %v", script, out)
	return 0
}

// Who comes back is told how much was said meanwhile, also where the room was
// empty when they left.
func TestAway(t *testing.T) {
	t.Parallel()
	c := start(t, "master")
	for _, before := range []string{"", "before"} {
		t.Run("before:"+before, func(t *testing.T) {
			room := "#away" + before
			ann, bob := visit(t, c, 1, "/page"+room), visit(t, c, 2, "/page"+room)
			for _, v := range []*visitor{ann, bob} {
				v.connect()
			}
			if before != "" {
				ann.say(before)
				bob.sees(soon, before)
			}
			bob.network.Down()
			bob.must(bob.expect(bob.GetByTestId("transport"), soon).ToHaveText("disconnected"))
			bob.must(bob.expect(bob.Locator("#typing"), soon).ToHaveText("No connection: messages wait."))
			bob.say("from afar")
			waits := bob.GetByTestId("messages").Locator(`[data-state="pending"]`)
			bob.must(bob.expect(waits, soon).ToContainText("Waits for the connection"))
			for i := range 12 {
				ann.say(fmt.Sprintf("news %d", i+1))
			}
			ann.sees(soon, "news 12")
			bob.network.Up()
			bob.connected(15 * time.Second)
			bob.sees(soon, "news 12")
			bob.must(bob.expect(bob.GetByTestId("messages").GetByText("You’re back: 12 messages while away"), soon).ToBeVisible())
			bob.sees(soon, "from afar")
			bob.must(bob.expect(bob.Locator("#fate"), 15*time.Second).ToContainText("nothing was lost"))
			bob.must(bob.expect(bob.Locator("#fate"), soon).ToContainText("The connection to worker"))
			want := 13
			if before != "" {
				want++
			}
			if got := len(bob.messages()); got != want {
				t.Errorf("%d messages, want %d", got, want)
			}

			// What was told is taken back once it is true no longer.
			bob.must(bob.expect(bob.GetByTestId("messages"), soon).ToContainText("nothing was lost"))
			bob.network.Down()
			for _, told := range []playwright.Locator{bob.Locator("#fate"), bob.GetByTestId("messages")} {
				bob.must(bob.expect(told, soon).Not().ToContainText("nothing was lost"))
				bob.must(bob.expect(told, soon).ToContainText("was lost."))
			}
			bob.network.Up()
		})
	}
}

// Reading further up is not disturbed by what is said meanwhile, and what is
// drawn stays bounded.
func TestScroll(t *testing.T) {
	t.Parallel()
	c := start(t, "master", "--rate", "0")
	v := visit(t, c, 1, "/page#scroll")
	v.connect()
	guests := crowd(t, c, "scroll", 5)
	say := func(from, n int) {
		t.Helper()
		talkAll(t, guests, n, time.Millisecond, func(i int) string { return fmt.Sprintf("number %d.", from+i) })
		text := fmt.Sprintf("number %d.", from+n-1)
		v.must(v.expect(v.Locator("#log").GetByText(text, playwright.LocatorGetByTextOptions{Exact: playwright.Bool(true)}), 20*time.Second).ToBeAttached())
	}
	atEnd := `() => { const l = document.getElementById("log"); return l.scrollHeight - l.scrollTop - l.clientHeight; }`
	say(1, 60)
	if off := v.number(atEnd); off > 2 {
		t.Errorf("the end is %g px away", off)
	}

	where := `() => {
		const log = document.getElementById("log").getBoundingClientRect();
		const first = [...document.querySelectorAll("#log .msg")].find((el) => el.getBoundingClientRect().bottom > log.top);
		window.reading ??= first;
		return window.reading.getBoundingClientRect().top - log.top;
	}`
	_, err := v.Evaluate(`() => { document.getElementById("log").scrollTop = 150; }`)
	v.must(err)
	time.Sleep(200 * time.Millisecond) // the browser tells the page of it
	before := v.number(where)
	say(61, 250)
	if after := v.number(where); math.Abs(after-before) > 1 {
		t.Errorf("what is read moved from %g to %g", before, after)
	}
	jump := v.button("250 new messages ↓")
	v.must(v.expect(jump, soon).ToBeVisible())
	v.must(jump.Click())
	v.must(v.expect(v.Locator("#jump"), soon).ToBeHidden())
	if off := v.number(atEnd); off > 2 {
		t.Errorf("after the jump the end is %g px away", off)
	}
	if n, _ := v.Locator("#log .msg").Count(); n > 200 {
		t.Errorf("%d messages are drawn", n)
	}

	// What is further up comes when it is asked for, above what is read.
	_, err = v.Evaluate(`() => { document.getElementById("log").scrollTop = 0; window.reading = undefined; }`)
	v.must(err)
	time.Sleep(200 * time.Millisecond)
	before = v.number(where)
	v.must(v.button("Show earlier messages").Press("Enter"))
	v.must(v.expect(v.Locator("#log").GetByText("number 1.", playwright.LocatorGetByTextOptions{Exact: playwright.Bool(true)}), soon).ToBeAttached())
	if after := v.number(where); math.Abs(after-before) > 60 { // the button's own line may have gone
		t.Errorf("what is read moved from %g to %g", before, after)
	}
	once := map[string]bool{}
	for _, m := range v.messages() {
		once[m.Text] = true
	}
	if n, _ := v.Locator("#log .msg").Count(); n != 310 || len(once) != 310 {
		t.Errorf("%d messages are drawn, %d different ones, want 310", n, len(once))
	}
}

// Any script of the world, and whatever is long, on the narrowest phone.
func TestLongAndRightToLeft(t *testing.T) {
	t.Parallel()
	c := start(t, "master")
	v := visit(t, c, 1, "/page#"+strings.Repeat("raum", 15), playwright.BrowserNewContextOptions{Viewport: &playwright.Size{Width: 320, Height: 568}})
	v.rename("اسم طويل جدا بلا نهاية تقريبا")
	v.connect()
	for _, text := range []string{"مرحبا بالعالم, hello", strings.Repeat("o", 400), strings.Repeat("Wort ", 399), "👩‍👩‍👧‍👦" + strings.Repeat("漢", 300), "last"} {
		v.say(text)
	}
	v.sees(soon, "last")
	v.fits("with long words")
	direction, err := v.Evaluate(`() => [...document.querySelectorAll("#log .msg-text")].slice(0, 2).map((el) => getComputedStyle(el).direction).join()`)
	v.must(err)
	if direction != "rtl,ltr" {
		t.Errorf("directions %v", direction)
	}
	// A long one is shown in part, and all of it on demand.
	log := v.Locator("#log")
	long := log.Locator(".msg").Filter(playwright.LocatorFilterOptions{HasText: "Wort Wort"})
	if h := v.number(`() => Math.max(...[...document.querySelectorAll("#log .msg")].map((el) => el.clientHeight)) / document.getElementById("log").clientHeight`); h > 1.3 {
		t.Errorf("one message takes %.1f of the log's height", h)
	}
	v.must(long.GetByRole("button").Press("Enter"))
	v.must(v.expect(long.GetByRole("button"), soon).ToHaveText("Show less"))
	v.must(v.expect(long.GetByRole("button"), soon).ToHaveAttribute("aria-expanded", "true"))
	v.fits("with all of it shown")
	v.axe("with long words")
}

// Days are told apart where messages of two stand side by side.
func TestDays(t *testing.T) {
	t.Parallel()
	c := start(t, "master")
	v := visit(t, c, 1, "/page#days", playwright.BrowserNewContextOptions{TimezoneId: playwright.String("Europe/Berlin"), Locale: playwright.String("en-GB")})
	out, err := v.Evaluate(`async () => {
		const { draw } = await import(new URL("message.js", document.querySelector("script[type=module]").src));
		const at = (text) => new Date(text).getTime();
		const entries = ["2026-03-01T20:00:00Z", "2026-03-01T22:59:30Z", "2026-03-01T23:00:10Z", "2026-03-01T23:00:20Z", "2027-03-01T23:00:20Z"]
			.map((time, i) => ({ offset: String(i), id: String(i), name: "Ann", slot: 1, text: "x", at: at(time) }));
		return entries.map((entry, i) => {
			const el = draw(entry, entries[i - 1] ?? null, i > 0);
			return (el.querySelector(".divider")?.textContent ?? "") + "|" + (el.querySelector("time")?.textContent ?? "");
		}).join("\n");
	}`)
	v.must(err)
	want := "Sunday 1 March 2026|21:00\n|23:59\nMonday 2 March 2026|00:00\n|\nTuesday 2 March 2027|00:00"
	if strings.ReplaceAll(out.(string), "day, ", "day ") != want { // browsers differ in the comma
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
}

// A reload takes neither what one was writing nor what could not be sent yet,
// and a second tab is the same person at first.
func TestReload(t *testing.T) {
	t.Parallel()
	c := start(t, "master")
	ann := visit(t, c, 1, "/page#reload")
	ann.rename("Ann")
	ann.connect()
	ann.say("one")
	ann.sees(soon, "one")
	ann.network.Down()
	ann.must(ann.expect(ann.GetByTestId("transport"), soon).ToHaveText("disconnected"))
	ann.say("two")
	ann.must(ann.box().Fill("half a sen"))
	ann.network.Up()
	_, err := ann.Reload()
	ann.must(err)
	ann.must(ann.expect(ann.box(), soon).ToHaveValue("half a sen"))
	ann.must(ann.expect(ann.GetByTestId("messages").Locator(`[data-state="pending"]`), soon).ToContainText("two"))
	ann.connect()
	ann.sees(soon, "two")
	if got := ann.messages(); len(got) != 2 || got[0].Text != "one" || got[1].Text != "two" || got[1].Name != "Ann" {
		t.Errorf("the conversation is %v", got)
	}
	ann.must(ann.expect(ann.box(), soon).ToHaveValue("half a sen"))

	// Another tab of the same browser, whose address and so worker are the same.
	page, err := ann.Context().NewPage()
	ann.must(err)
	tab := &visitor{Page: page, t: t, cluster: c, network: ann.network}
	_, err = tab.Goto(c.URL + "/page#reload")
	tab.must(err)
	tab.must(tab.expect(tab.GetByLabel("Your name"), soon).ToHaveValue("Ann"))
	tab.connect()
	for _, v := range []*visitor{ann, tab} {
		v.must(v.expect(v.GetByTestId("members").Locator("li"), soon).ToHaveCount(1))
		v.must(v.expect(v.GetByTestId("members"), soon).ToContainText("×2 you"))
	}
	tab.rename("Bob")
	ann.must(ann.expect(ann.GetByTestId("members").Locator("li"), soon).ToHaveCount(2))
	ann.must(ann.expect(ann.GetByLabel("Your name"), soon).ToHaveValue("Ann"))
	// What one's own name writes elsewhere is no news; what Bob writes is.
	tab.must(tab.box().PressSequentially("Hi"))
	ann.must(ann.expect(ann.GetByText("Bob is typing…"), soon).ToBeVisible())
	_, err = ann.Reload()
	ann.must(err)
	ann.must(ann.expect(ann.GetByLabel("Your name"), soon).ToHaveValue("Ann"))
}
