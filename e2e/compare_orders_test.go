package e2e

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/clustertest"
)

// Runs are begun by the page alone, known by its own names alone.
func compareOrders(t *testing.T, c *clustertest.Cluster) {
	page := ask(t, "GET", c.URL+"/compare", nil)
	_, token, _ := strings.Cut(page.body, `data-token="`)
	token, _, _ = strings.Cut(token, `"`)
	if len(token) < 20 {
		t.Fatalf("token %q", token)
	}
	ours := map[string]string{"Origin": c.URL, "X-Samedoor-Token": token}
	for name, tt := range map[string]struct {
		header map[string]string
		status int
	}{
		"no token":      {map[string]string{"Origin": c.URL}, 403},
		"another token": {map[string]string{"Origin": c.URL, "X-Samedoor-Token": token + "x"}, 403},
		"no origin":     {map[string]string{"X-Samedoor-Token": token}, 403},
		"another site":  {map[string]string{"Origin": "http://evil.example", "X-Samedoor-Token": token}, 403},
		"another port":  {map[string]string{"Origin": "http://127.0.0.1:1", "X-Samedoor-Token": token}, 403},
		"null":          {map[string]string{"Origin": "null", "X-Samedoor-Token": token}, 403},
		"another name":  {map[string]string{"Host": "evil.example", "Origin": "http://evil.example", "X-Samedoor-Token": token}, 421},
		"the page":      {ours, 202},
	} {
		if got := ask(t, "POST", c.URL+"/compare/stop", tt.header); got.status != tt.status {
			t.Errorf("%s: %d, want %d: %s", name, got.status, tt.status, got.body)
		}
	}
	if got := ask(t, "GET", c.URL+"/compare", map[string]string{"Host": "evil.example"}); got.status != 421 || strings.Contains(got.body, token) {
		t.Errorf("by another name: %d %.200s", got.status, got.body)
	}
	if got := ask(t, "GET", c.URL+"/compare", map[string]string{"Host": "localhost:" + port(c)}); got.status != 200 {
		t.Errorf("as localhost: %d %.200s", got.status, got.body)
	}
	if kept := page.header.Get("Cache-Control"); kept != "no-store" {
		t.Errorf("the page with the token may be kept: %q", kept)
	}
	policy := page.header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
		t.Errorf("policy: %s", policy)
	}

	// One run at a time, and it can be stopped: the results stay those of the last one.
	var before, after compareState
	if err := c.Get("/compare/state", &before); err != nil || before.Results == nil {
		t.Fatalf("no results before: %v", err)
	}
	if got := ask(t, "POST", c.URL+"/compare/run", ours); got.status != 202 {
		t.Fatalf("run: %d %s", got.status, got.body)
	}
	if got := ask(t, "POST", c.URL+"/compare/run", ours); got.status != 409 || !strings.Contains(got.body, "under way") {
		t.Errorf("a second run: %d %s", got.status, got.body)
	}
	ask(t, "POST", c.URL+"/compare/stop", ours)
	clustertest.Until(t, 30*time.Second, "the run ends", func() bool {
		return c.Get("/compare/state", &after) == nil && !after.Run.Running
	})
	if after.Results.At != before.Results.At {
		t.Error("a stopped run has results")
	}
}

type asked struct {
	status int
	body   string
	header http.Header
}

func ask(t *testing.T, method, to string, header map[string]string) asked {
	t.Helper()
	r, err := http.NewRequest(method, to, nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	if h := header["Host"]; h != "" {
		r.Host = h
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return asked{resp.StatusCode, string(b), resp.Header}
}
