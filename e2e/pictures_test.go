package e2e

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/playwright-community/playwright-go"

	"github.com/samedoor/samedoor/e2e/pwtest"
	"github.com/samedoor/samedoor/internal/clustertest"
)

// The README's pictures, taken from real runs: `make screenshots`.
func TestPictures(t *testing.T) {
	dir := folder(t, "PICTURES")
	look := playwright.BrowserNewContextOptions{
		Viewport:          &playwright.Size{Width: 1280, Height: 900},
		DeviceScaleFactor: playwright.Float(1.5),
		ColorScheme:       playwright.ColorSchemeLight,
	}

	t.Run("none", func(t *testing.T) {
		c := start(t, "none")
		for i := 1; i <= 20; i++ { // luck may bring one through, and a picture may catch one attempt's sentence over another's marks
			v := visit(t, c, i, "/page", look)
			v.must(v.Locator("#guide > summary").Click())
			v.must(v.button("Connect").Click())
			v.must(v.Mouse().Move(1, 1))
			if v.told(5 * time.Second) {
				v.picture(filepath.Join(dir, "none.png"), "#caption")
				if v.told(0) {
					return
				}
			}
			v.must(v.Context().Close())
		}
		t.Error("of 20 handshakes none broke while the page was looked at")
	})

	t.Run("compare", func(t *testing.T) {
		pwtest.Browser(t)
		v := visit(t, clustertest.Compare(t, nil), 1, "/compare", look)
		v.compare()
		v.must(v.Mouse().Move(1, 1))
		v.picture(filepath.Join(dir, "compare.png"), ".strat:nth-child(4)")
	})
}

// told waits until the sentence on top and a mark of the latest session tell of the same broken request.
func (v *visitor) told(limit time.Duration) bool {
	v.t.Helper()
	for end := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		same, err := v.Evaluate(`() => {
			const said = /its (\w+) reached worker (\d+), but the session lives in worker (\d+)/.exec(document.querySelector("#verdict").textContent.replace(/\s/g, " "));
			const marks = [...document.querySelectorAll(".tl-mark[data-step]")];
			const latest = marks.filter((one) => one.dataset.sid === marks.at(-1).dataset.sid);
			return Boolean(said) && latest.some(({ dataset: d }) => d.ok === "false" && d.step === said[1] && d.worker === said[2] && d.owner === said[3]);
		}`)
		v.must(err)
		if same.(bool) || time.Now().After(end) {
			return same.(bool)
		}
	}
}

// picture takes the page from its top down to an element.
func (v *visitor) picture(file, last string) {
	v.t.Helper()
	bottom := v.number(fmt.Sprintf(`document.querySelector(%q).getBoundingClientRect().bottom + scrollY`, last))
	_, err := v.Screenshot(playwright.PageScreenshotOptions{Path: &file, FullPage: playwright.Bool(true),
		Clip: &playwright.Rect{Width: float64(v.ViewportSize().Width), Height: bottom}})
	v.must(err)
}
