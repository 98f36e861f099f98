package e2e

import (
	"testing"

	"github.com/playwright-community/playwright-go"

	"github.com/samedoor/samedoor/e2e/pwtest"
	"github.com/samedoor/samedoor/internal/clustertest"
)

// Without JavaScript a page says that it needs it, and offers nothing that
// would not answer.
func TestWithoutScript(t *testing.T) {
	t.Parallel()
	pages := map[string]*clustertest.Cluster{"/page": start(t, "master"), "/compare": clustertest.Compare(t, nil, "--strategies", "master", "--workers", "2")}
	for path, c := range pages {
		for _, width := range []int{320, 1280} {
			ctx := pwtest.Context(t, nil, playwright.BrowserNewContextOptions{
				JavaScriptEnabled: playwright.Bool(false), Viewport: &playwright.Size{Width: width, Height: 800},
			})
			v := visitIn(t, c, nil, ctx, path)
			note := v.Locator(".actions noscript p") // which texts are not looked for in
			v.must(v.expect(note, soon).ToBeVisible())
			for _, what := range []string{"button:not(.term)", "input", "textarea", "a.button"} {
				n, err := v.Locator("body").Locator(what + ":visible").Count()
				if err != nil || n > 0 {
					t.Errorf("%s, %d px wide: %d × %s to be seen, %v", path, width, n, what, err)
				}
			}
			// The note has the line to itself.
			line, err := note.BoundingBox()
			v.must(err)
			section, err := v.Locator(".session").BoundingBox()
			v.must(err)
			if line.Width < section.Width/2 {
				t.Errorf("%s, %d px wide: the note is %v of %v px wide", path, width, line.Width, section.Width)
			}
		}
	}
}
