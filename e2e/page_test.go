package e2e

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/playwright-community/playwright-go"
)

// The page in ordinary use: quiet, by itself, and for everybody.
func TestPage(t *testing.T) {
	t.Parallel()
	c := start(t, "master")

	t.Run("quiet", func(t *testing.T) {
		v := visit(t, c, 1, "/page")
		v.connect()
		v.say("hello")
		v.sees(soon, "hello")
		v.must(v.button("Disconnect").Click())
		v.must(v.expect(v.GetByTestId("transport"), soon).ToHaveText("disconnected"))
		v.must(v.expect(v.button("Connect"), soon).ToBeVisible())
		v.must(v.expect(v.GetByTestId("sid"), soon).ToHaveText("–"))
		v.connect()
		v.note(func() {
			if len(v.console) > 0 {
				t.Errorf("console: %q", v.console)
			}
		})
		// All the browser asked for, the page's own requests or not.
		if asked := v.network.Dialed(); !slices.Equal(asked, []string{c.Addr}) {
			t.Errorf("the page connects to %v", asked)
		}
	})

	for _, scheme := range []*playwright.ColorScheme{playwright.ColorSchemeLight, playwright.ColorSchemeDark} {
		t.Run("axe "+string(*scheme), func(t *testing.T) {
			v := visit(t, c, 2, "/page#axe-"+string(*scheme), playwright.BrowserNewContextOptions{ColorScheme: scheme})
			v.axe("idle")
			v.connect()
			v.say("hello")
			v.sees(soon, "hello")
			v.must(v.expect(v.GetByTestId("timeline").Locator("[data-step=upgrade]"), soon).ToHaveCount(1))
			v.axe("connected")
		})
	}

	t.Run("keyboard", func(t *testing.T) {
		v := visit(t, c, 3, "/page#keyboard")
		v.tabTo("Connect")
		v.must(v.Keyboard().Press("Enter"))
		v.connected(soon)
		v.tabTo("Message")
		v.must(v.Keyboard().Type("by keyboard"))
		v.must(v.Keyboard().Press("Enter"))
		v.sees(soon, "by keyboard")
	})

	t.Run("narrow", func(t *testing.T) {
		v := visit(t, c, 4, "/page#narrow", playwright.BrowserNewContextOptions{Viewport: &playwright.Size{Width: 320, Height: 568}})
		v.fits("idle")
		v.connect()
		v.say("a long word: " + strings.Repeat("o", 300))
		v.sees(soon, "a long word")
		v.must(v.expect(v.GetByTestId("timeline").Locator("[data-step=upgrade]"), soon).ToHaveCount(1))
		v.fits("connected")
	})
}

// Sockets that go straight to a worker are the only others the page opens.
func TestPageOfServer(t *testing.T) {
	t.Parallel()
	c := start(t, "server")
	v := visit(t, c, 1, "/page")
	v.connect()
	to := strings.TrimPrefix(v.text("reply-root"), "/: ")
	want := []string{c.Addr, "127.0.0.1:" + to}
	if asked := v.network.Dialed(); !slices.Equal(asked, want) {
		t.Errorf("the page connects to %v, want %v", asked, want)
	}
	v.note(func() {
		if len(v.console) > 0 {
			t.Errorf("console: %q", v.console)
		}
	})
}

// tabTo presses Tab until what is focused has that name.
func (v *visitor) tabTo(name string) {
	v.t.Helper()
	var met []string
	for range 80 {
		v.must(v.Keyboard().Press("Tab"))
		focused, err := v.Evaluate(`() => {
			const el = document.activeElement;
			return el.labels?.[0]?.textContent.trim() || el.getAttribute("aria-label") || el.textContent.trim().slice(0, 40);
		}`)
		v.must(err)
		if focused == name {
			return
		}
		met = append(met, focused.(string))
	}
	v.t.Fatalf("Tab never comes to %s, but to %q", name, met)
}

// fits checks that nothing sticks out to the side.
func (v *visitor) fits(when string) {
	v.t.Helper()
	out, err := v.Evaluate(`() => {
		const wide = document.documentElement.scrollWidth, window = document.documentElement.clientWidth;
		if (wide <= window) return "";
		const far = [...document.querySelectorAll("body *")].filter((el) => el.getBoundingClientRect().right > window);
		return wide + " px in " + window + ": " + far.map((el) => el.tagName + "." + el.className).join(", ");
	}`)
	v.must(err)
	if out != "" {
		v.t.Errorf("%s, the page scrolls sideways: %s", when, out)
	}
}

// axe looks for what keeps people from using the page.
func (v *visitor) axe(when string) {
	v.t.Helper()
	script, err := os.ReadFile("../web/node_modules/axe-core/axe.min.js")
	v.must(err)
	// The browser's protocol evaluates what the page's policy would not load.
	_, err = v.Evaluate(string(script) + "; undefined")
	v.must(err)
	out, err := v.Evaluate(`async () => {
		const { violations } = await axe.run();
		return JSON.stringify(violations.map((one) => ({
			id: one.id, help: one.help, nodes: one.nodes.map((node) => node.html.slice(0, 160) + " " + node.failureSummary),
		})));
	}`)
	v.must(err)
	var violations []struct {
		ID, Help string
		Nodes    []string
	}
	v.must(json.Unmarshal([]byte(out.(string)), &violations))
	for _, one := range violations {
		v.t.Errorf("axe, %s: %s (%s):\n%s", when, one.ID, one.Help, strings.Join(one.Nodes, "\n"))
	}
}
