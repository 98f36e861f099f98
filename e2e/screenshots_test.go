package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/playwright-community/playwright-go"

	"github.com/samedoor/samedoor/e2e/pwtest"
	"github.com/samedoor/samedoor/internal/clustertest"
)

// Pictures of the pages to look at: SCREENSHOTS=folder go test -run Screenshots ./e2e

// A look is a window's, and names the pictures taken in it.
type look struct {
	name   string
	size   playwright.Size
	scheme *playwright.ColorScheme
}

var looks = []look{
	{"light", playwright.Size{Width: 1280, Height: 800}, playwright.ColorSchemeLight},
	{"dark", playwright.Size{Width: 1280, Height: 800}, playwright.ColorSchemeDark},
	{"tablet", playwright.Size{Width: 768, Height: 1024}, playwright.ColorSchemeLight},
	{"phone", playwright.Size{Width: 390, Height: 844}, playwright.ColorSchemeLight},
	{"phone-dark", playwright.Size{Width: 390, Height: 844}, playwright.ColorSchemeDark},
	{"wide", playwright.Size{Width: 1920, Height: 1080}, playwright.ColorSchemeLight},
	{"4k", playwright.Size{Width: 3840, Height: 2160}, playwright.ColorSchemeLight},
	{"320px", playwright.Size{Width: 320, Height: 568}, playwright.ColorSchemeLight},
}

func (l look) window() playwright.BrowserNewContextOptions {
	return playwright.BrowserNewContextOptions{Viewport: &l.size, ColorScheme: l.scheme}
}

// folder is where a test puts its pictures; one that is given none is skipped.
func folder(t *testing.T, variable string) string {
	t.Helper()
	dir := os.Getenv(variable)
	if dir == "" {
		t.Skip(variable + " names no folder")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// shot takes the whole page.
func (v *visitor) shot(dir, name string) {
	v.t.Helper()
	_, err := v.Evaluate("scrollTo(0, 0)")
	v.must(err)
	time.Sleep(700 * time.Millisecond) // doors swing
	file := filepath.Join(dir, name+".png")
	_, err = v.Screenshot(playwright.PageScreenshotOptions{Path: &file, FullPage: playwright.Bool(true)})
	v.must(err)
}

func TestScreenshots(t *testing.T) {
	dir := folder(t, "SCREENSHOTS")
	master, none, redis := start(t, "master"), start(t, "none"), start(t, "redis")
	for i, look := range looks {
		t.Run(look.name, func(t *testing.T) {
			see := func(c *clustertest.Cluster) *visitor {
				return visit(t, c, i+1, "/page#"+look.name, look.window())
			}
			shot := func(v *visitor, name string) { v.shot(dir, name+"-"+look.name) }

			v := see(master)
			shot(v, "idle")
			v.rename("Ann")
			v.connect()
			shot(v, "connected")
			bob := visit(t, master, i+10, "/page#"+look.name)
			bob.rename("Bob")
			bob.connect()
			for _, pair := range [][2]string{
				{"Good morning. Which door are you at?", "Another one, it seems."},
				{"And yet we talk.", "Every message goes over the bus, so everyone reads the same conversation in the same order, whichever worker they came through."},
				{"https://example.org/a-very-long-address-without-a-single-space/that-has-to-break-somewhere-or-it-will-stick-out", "Indeed."},
				{"مرحبا، كيف حالك؟ (Samedoor)", strings.Repeat("A long story, told at once. ", 40)},
			} {
				v.say(pair[0])
				bob.sees(soon, pair[0])
				bob.say(pair[1])
				v.sees(soon, pair[1])
			}
			shot(v, "chat")
			v.must(v.GetByLabel("Message", playwright.PageGetByLabelOptions{Exact: playwright.Bool(true)}).Fill("A draft that stays"))
			for _, name := range []string{"workers", "requests"} { // folded on a phone
				_, err := v.Evaluate(`(id) => { const el = document.getElementById(id); if (el) el.open = id === "workers"; }`, name)
				v.must(err)
			}
			v.must(v.button(fmt.Sprintf("Kill worker %d", v.slot())).Click())
			v.must(v.expect(v.Locator("#fate"), 10*time.Second).ToContainText("You reconnected"))
			v.connected(soon)
			bob.say("Welcome back.")
			v.sees(soon, "Welcome back.")
			shot(v, "killed")
			crowd(t, master, look.name, 80)
			v.must(v.expect(v.Locator("#people-count"), 20*time.Second).ToContainText("82 here"))
			shot(v, "crowd")
			v.network.Down()
			v.must(v.expect(v.GetByTestId("transport"), soon).ToHaveText("disconnected"))
			v.say("Anybody there?")
			shot(v, "away")
			v.network.Up()
			v.connected(15 * time.Second)
			v.must(v.Locator("#requests > summary").Click())
			v.tells(v.text("sid"))
			shot(v, "back")

			broken := func() bool { // luck may bring one through
				v = see(none)
				v.must(v.button("Connect").Click())
				return v.told(5 * time.Second)
			}
			for tries := 1; !broken(); tries++ {
				if v.must(v.Context().Close()); tries == 8 {
					t.Fatal("of 8 handshakes none broke")
				}
			}
			shot(v, "failing")
			v.must(v.mark("[data-ok=false]").Last().Click())
			shot(v, "opened")

			v = see(redis)
			v.connect()
			shot(v, "forwarded")
		})
	}
}

func TestScreenshotsCompare(t *testing.T) {
	dir := folder(t, "SCREENSHOTS")
	pwtest.Browser(t)
	c := clustertest.Compare(t, nil)
	for i, look := range looks {
		v := visit(t, c, i+1, "/compare", look.window())
		v.shot(dir, "compare-idle-"+look.name)
		v.compare()
		v.shot(dir, "compare-ran-"+look.name)
	}
}
