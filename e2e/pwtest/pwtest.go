// Package pwtest starts one Chromium for all tests of a binary, and hands each
// test its own browser context with, if it wants, a source address of its own.
// What a failing test saw is kept under e2e/artifacts: a screenshot of each page,
// and a trace (`npx playwright show-trace FILE`).
package pwtest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/playwright-community/playwright-go"
)

// patience is how long an action waits for its element, in milliseconds.
const patience = 10_000

var (
	driver  *playwright.Playwright
	browser playwright.Browser
	problem error // why there is no browser
)

// Main is for TestMain: os.Exit(pwtest.Main(m)).
func Main(m *testing.M) int {
	problem = start()
	code := m.Run()
	if browser != nil {
		_ = browser.Close()
	}
	if driver != nil {
		_ = driver.Stop()
	}
	return code
}

func start() error {
	dir, err := findDriver()
	if err != nil {
		return err
	}
	if driver, err = playwright.Run(&playwright.RunOptions{DriverDirectory: dir}); err != nil {
		return fmt.Errorf("start the Playwright driver in %s: %w", dir, err)
	}
	o := playwright.BrowserTypeLaunchOptions{
		Timeout: playwright.Float(60_000), // a machine that builds at the same time is slow to start it
		Args: []string{
			"--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
			"--disable-background-networking", "--disable-component-update", "--disable-sync",
		},
	}
	if o.ExecutablePath, err = findBrowser(driver.Chromium.ExecutablePath()); err != nil {
		return err
	}
	if browser, err = driver.Chromium.Launch(o); err != nil {
		return fmt.Errorf("start Chromium: %w", err)
	}
	return nil
}

// Browser is the browser that all tests share. Where there is none the test is
// skipped, or fails if E2E_REQUIRED is set.
func Browser(t testing.TB) playwright.Browser {
	t.Helper()
	if problem != nil {
		if os.Getenv("E2E_REQUIRED") != "" {
			t.Fatal(problem)
		}
		t.Skip(problem)
	}
	return browser
}

// Context opens a context with its own cookies, cache and storage, whose
// connections go through n unless that is nil. It is closed with the test.
func Context(t testing.TB, n *Network, options ...playwright.BrowserNewContextOptions) playwright.BrowserContext {
	t.Helper()
	var o playwright.BrowserNewContextOptions
	if len(options) > 0 {
		o = options[0]
	}
	if n != nil {
		o.Proxy = &playwright.Proxy{Server: n.server}
	}
	c, err := Browser(t).NewContext(o)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDefaultTimeout(patience)
	// What a page looked like at each step costs a third of a test's time: E2E_SNAPSHOTS=1 keeps it.
	snapshots := playwright.Bool(os.Getenv("E2E_SNAPSHOTS") != "")
	if err := c.Tracing().Start(playwright.TracingStartOptions{Snapshots: snapshots, Screenshots: playwright.Bool(false)}); err != nil {
		t.Error(err)
	}
	t.Cleanup(func() {
		if t.Failed() && len(c.Pages()) > 0 { // else the test has closed it
			keep(t, c)
		}
		_ = c.Close()
	})
	return c
}

// Page opens a page in c. An error that its scripts don't catch fails the test.
func Page(t testing.TB, c playwright.BrowserContext) playwright.Page {
	t.Helper()
	p, err := c.NewPage()
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var uncaught []error
	p.OnPageError(func(err error) { // may come when the test is over
		mu.Lock()
		defer mu.Unlock()
		uncaught = append(uncaught, err)
	})
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		for _, err := range uncaught {
			t.Errorf("uncaught in the page: %v", err)
		}
	})
	return p
}

var (
	kept     atomic.Int64
	specials = regexp.MustCompile(`[^\w.-]+`)
)

// keep saves what the context shows, for whoever looks into the failure.
func keep(t testing.TB, c playwright.BrowserContext) {
	_, here, _, _ := runtime.Caller(0)
	dir := filepath.Join(filepath.Dir(here), "..", "artifacts", specials.ReplaceAllString(t.Name(), "_"))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Log(err)
		return
	}
	n := kept.Add(1) // a test may have several contexts
	for i, p := range c.Pages() {
		file := filepath.Join(dir, fmt.Sprintf("%d-page%d.png", n, i+1))
		if _, err := p.Screenshot(playwright.PageScreenshotOptions{Path: &file, FullPage: playwright.Bool(true)}); err != nil {
			t.Logf("no screenshot: %v", err)
			continue
		}
		t.Logf("screenshot: %s", file)
	}
	file := filepath.Join(dir, fmt.Sprintf("%d-trace.zip", n))
	if err := c.Tracing().Stop(file); err != nil {
		t.Logf("no trace: %v", err)
		return
	}
	t.Logf("trace: %s", file)
}
