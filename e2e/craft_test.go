package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/playwright-community/playwright-go"

	"github.com/samedoor/samedoor/e2e/pwtest"
)

// What a visit costs, and that nothing moves under the reader's hands.
func TestPageIsLight(t *testing.T) {
	t.Parallel()
	c := start(t, "master")

	t.Run("under 150 KB", func(t *testing.T) {
		ctx := pwtest.Context(t, nil)
		p := pwtest.Page(t, ctx)
		cdp, err := ctx.NewCDPSession(p)
		if err != nil {
			t.Fatal(err)
		}
		files, bytes := make(chan float64, 200), 0.0
		cdp.On("Network.loadingFinished", func(event map[string]any) { files <- event["encodedDataLength"].(float64) })
		if _, err := cdp.Send("Network.enable", nil); err != nil {
			t.Fatal(err)
		}
		var elsewhere []string
		p.OnRequest(func(r playwright.Request) {
			if !strings.HasPrefix(r.URL(), c.URL+"/") {
				elsewhere = append(elsewhere, r.URL())
			}
		})
		if _, err := p.Goto(c.URL+"/page", playwright.PageGotoOptions{WaitUntil: playwright.WaitUntilStateNetworkidle}); err != nil {
			t.Fatal(err)
		}
		n := len(files)
		for range n {
			bytes += <-files
		}
		t.Logf("%d files, %.0f bytes with their headers", n, bytes)
		if n < 10 || bytes > 150_000 {
			t.Errorf("%d files, %.0f bytes", n, bytes)
		}
		if len(elsewhere) > 0 {
			t.Errorf("it asks elsewhere: %q", elsewhere)
		}
	})

	t.Run("first paint within a second", func(t *testing.T) {
		best := 1e9 // of a few: the machine may be busy
		for i := 1; i <= 5 && best > 1000; i++ {
			v := visit(t, c, i, "/page")
			at, err := v.Evaluate(`() => new Promise((done) => new PerformanceObserver((list) => {
				for (const one of list.getEntriesByName("first-contentful-paint")) done(one.startTime);
			}).observe({ type: "paint", buffered: true }))`)
			v.must(err)
			switch ms := at.(type) {
			case int:
				best = min(best, float64(ms))
			case float64:
				best = min(best, ms)
			}
		}
		t.Logf("first contentful paint after %.0f ms", best)
		if best > 1000 {
			t.Errorf("first contentful paint after %.0f ms at best", best)
		}
	})

	for name, size := range map[string]playwright.Size{"wide": {Width: 1280, Height: 800}, "phone": {Width: 390, Height: 844}, "4K": {Width: 3840, Height: 2160}} {
		t.Run("nothing jumps, "+name, func(t *testing.T) {
			v := visit(t, c, 6, "/page#jumps", playwright.BrowserNewContextOptions{Viewport: &size})
			v.connect()
			v.tells(v.text("sid"))
			time.Sleep(time.Second)
			v.still()
		})
	}

	t.Run("kept by version", func(t *testing.T) {
		get := func(path string) *http.Response {
			r, err := http.Get(c.URL + path)
			if err != nil {
				t.Fatal(err)
			}
			r.Body.Close()
			return r
		}
		v := visit(t, c, 7, "/page")
		src, err := v.Locator("script[type=module]").GetAttribute("src")
		v.must(err)
		if r := get(src); r.StatusCode != 200 || !strings.Contains(r.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d, %s", src, r.StatusCode, r.Header.Get("Cache-Control"))
		}
		for _, path := range []string{"/static/main.js", "/static/v-0123456789ab/main.js"} {
			if r := get(path); r.StatusCode != 200 || r.Header.Get("Cache-Control") != "no-cache" || r.Header.Get("ETag") == "" {
				t.Errorf("%s: %d, %s", path, r.StatusCode, r.Header.Get("Cache-Control"))
			}
		}
		if kept := get("/page").Header.Get("Cache-Control"); kept != "no-store" {
			t.Errorf("the page, which holds a token, may be kept: %q", kept)
		}
		if csp := get("/page").Header.Get("Content-Security-Policy"); strings.Contains(csp, "unsafe") || !strings.HasPrefix(csp, "default-src 'none'") {
			t.Errorf("policy: %s", csp)
		}
	})
}

// Whoever points, tabs or taps is told what a word means.
func TestTooltips(t *testing.T) {
	t.Parallel()
	c := start(t, "master")
	v := visit(t, c, 1, "/page")
	tip := v.GetByRole("tooltip")
	term := v.button("latency")
	says := func(what string) {
		v.t.Helper()
		v.must(v.expect(tip, soon).ToBeVisible())
		v.must(v.expect(tip, soon).ToContainText(what))
	}
	gone := func() {
		v.t.Helper()
		v.must(v.expect(tip, soon).ToBeHidden())
	}

	v.must(v.GetByTestId("latency").Hover()) // the number itself, not only its name
	says("Median time")
	v.must(v.expect(term, soon).ToHaveAttribute("aria-describedby", "tip"))
	v.must(tip.Hover())
	time.Sleep(500 * time.Millisecond)
	says("Median time") // stays while the pointer is on it
	v.must(v.Keyboard().Press("Escape"))
	gone()

	v.must(v.Mouse().Move(2, 2))
	v.must(term.Focus())
	v.tabTo("answer in /")
	says("greeting in the namespace")
	v.axe("a tooltip")
	v.must(v.Keyboard().Press("Escape"))
	gone()
	v.tabTo("session key (sid)")
	says("don't post it")

	phone := visit(t, c, 2, "/page", playwright.BrowserNewContextOptions{HasTouch: playwright.Bool(true), Viewport: &playwright.Size{Width: 320, Height: 568}})
	phone.must(phone.button("session key (sid)").Tap())
	phone.must(phone.expect(phone.GetByRole("tooltip"), soon).ToBeVisible())
	phone.fits("a tooltip")
}

// All that can be opened is open: nobody is kept out, and nothing sticks out.
func TestOpened(t *testing.T) {
	t.Parallel()
	c := start(t, "master")
	for i, scheme := range []*playwright.ColorScheme{playwright.ColorSchemeLight, playwright.ColorSchemeDark} {
		for j, width := range []int{320, 1280} {
			t.Run(string(*scheme), func(t *testing.T) {
				v := visit(t, c, 1+2*i+j, "/page", playwright.BrowserNewContextOptions{ColorScheme: scheme, Viewport: &playwright.Size{Width: width, Height: 800}})
				v.connect()
				v.tells(v.text("sid"))
				v.must(v.button("Table").Click())
				v.must(v.GetByText("What it is good for, and where it fails").Click())
				v.must(v.expect(v.GetByText(regexp.MustCompile(`Many behind one address`)), soon).ToBeVisible())
				for _, neighbour := range []string{".brand", "#theme"} { // what was opened has not moved them
					top, err := v.Locator(neighbour).BoundingBox()
					v.must(err)
					if top.Y > 24 {
						t.Errorf("%s is %v px below the top", neighbour, top.Y)
					}
				}
				for _, mark := range []string{"[data-step=post]", "[data-step=upgrade]", "[data-kind=frames]"} {
					v.must(v.mark(mark).First().Click())
					v.must(v.expect(v.GetByTestId("opened"), soon).ToBeVisible())
					v.fits(mark)
				}
				v.axe("all open")
			})
		}
	}
}

// still checks that nothing has moved by itself since the page was opened.
func (v *visitor) still() {
	v.t.Helper()
	out, err := v.Evaluate(`() => new Promise((done) => {
		const moved = [];
		let sum = 0;
		new PerformanceObserver((list) => {
			for (const one of list.getEntries()) sum += one.value, moved.push(one.value.toFixed(4) + ": " + one.sources.map(({ node: n, previousRect: a, currentRect: b }) => [n?.nodeName, n?.className || n?.parentElement?.className, n?.textContent.slice(0, 20), a.x, a.y, b.x, b.y].join(" ")).join("; "));
		}).observe({ type: "layout-shift", buffered: true });
		setTimeout(() => done(sum < 0.01 ? "" : moved.join("\n")), 200); // a tenth of what counts as good: a headline takes one line or two, a late poll its place
	})`)
	v.must(err)
	if out != "" {
		v.t.Errorf("moved:\n%s", out)
	}
}

// The chat stands beside the timeline where there is room. Elsewhere it is below, and a button leads there: on a phone
// always, on a desk, where it would lie over the lanes, when something was said.
func TestWayToTheChat(t *testing.T) {
	t.Parallel()
	c := start(t, "master")
	for i, look := range []struct {
		size          playwright.Size
		beside, leads bool
	}{
		{playwright.Size{Width: 1920, Height: 1080}, true, false},
		{playwright.Size{Width: 1280, Height: 800}, false, false},
		{playwright.Size{Width: 390, Height: 844}, false, true},
	} {
		room := fmt.Sprintf("/page#way%d", i)
		v := visit(t, c, 1+2*i, room, playwright.BrowserNewContextOptions{Viewport: &look.size})
		v.connect()
		if beside := v.number(`+(chat.getBoundingClientRect().bottom <= innerHeight && chat.getBoundingClientRect().left > requests.getBoundingClientRect().right)`) == 1; beside != look.beside {
			t.Errorf("%d px: beside the timeline and in view: %v", look.size.Width, beside)
		}
		button := v.Locator("#to-chat")
		if look.leads {
			v.must(v.expect(button, soon).ToBeVisible())
		} else {
			v.must(v.expect(button, soon).ToBeHidden())
		}
		other := visit(t, c, 2+2*i, room)
		other.connect()
		other.say("over here")
		v.sees(soon, "over here")
		if look.beside {
			v.must(v.expect(button, soon).ToBeHidden())
			continue
		}
		v.must(v.expect(button, soon).ToHaveText("Chat · 1 new"))
		v.must(button.Click())
		v.must(v.expect(button, soon).ToBeHidden())
	}
}
