package pwtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/playwright-community/playwright-go"
)

// driverVersion is what e2e/setup.sh installs, and playwright-go must ask for.
const driverVersion = "1.52.0"

const setUp = "run e2e/setup.sh (make tools)"

// findDriver returns the folder that holds package/cli.js: that named by
// PLAYWRIGHT_DRIVER_PATH, or where setup.sh puts it, as playwright-go does.
func findDriver() (string, error) {
	d, err := playwright.NewDriver(&playwright.RunOptions{})
	if err != nil {
		return "", err
	}
	if d.Version != driverVersion {
		return "", fmt.Errorf("playwright-go wants driver %s, e2e/setup.sh installs %s: bring them together", d.Version, driverVersion)
	}
	dir := os.Getenv("PLAYWRIGHT_DRIVER_PATH")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		if home, err := os.UserHomeDir(); err == nil && !strings.HasSuffix(cache, "Caches") {
			cache = filepath.Join(home, ".cache") // setup.sh, as playwright-go, knows no XDG_CACHE_HOME
		}
		dir = filepath.Join(cache, "ms-playwright-go", driverVersion)
	}
	if _, err := os.Stat(filepath.Join(dir, "package", "cli.js")); err != nil {
		return "", fmt.Errorf("no Playwright driver in %s: %s", dir, setUp)
	}
	return dir, nil
}

// findBrowser returns the path of a Chromium: that of E2E_CHROMIUM, or one of
// the system's; nil if Playwright's own, which stock names, is there to be used.
func findBrowser(stock string) (*string, error) {
	if p := os.Getenv("E2E_CHROMIUM"); p != "" {
		return &p, nil
	}
	for _, name := range []string{"chromium-headless-shell", "chromium", "chromium-browser", "google-chrome-stable", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			return &p, nil
		}
	}
	// Headless, Playwright runs chromium_headless_shell-REV, which it puts beside chromium-REV.
	for _, root := range []string{stock, strings.Replace(stock, "chromium-", "chromium_headless_shell-", 1)} {
		for ; len(root) > 1; root = filepath.Dir(root) {
			if _, err := os.Stat(filepath.Join(root, "INSTALLATION_COMPLETE")); err == nil {
				return nil, nil
			}
		}
	}
	return nil, errors.New("no Chromium: " + setUp + ", or name one with E2E_CHROMIUM")
}
