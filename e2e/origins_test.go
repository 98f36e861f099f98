package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/samedoor/samedoor/internal/clustertest"
)

// Only the cluster's own pages may connect, by polling and by WebSocket: of the
// latter browsers let any page open as many as it likes.
func TestOrigins(t *testing.T) {
	for _, strategy := range []string{"master", "server", "nginx"} {
		t.Run(strategy, func(t *testing.T) {
			t.Parallel()
			c := clustertest.Start(t, "--strategy", strategy, "--workers", "2", "--origins", "https://chat.example")
			worker := fmt.Sprintf("127.0.0.1:%d", c.Port)
			knock := []string{c.Addr}
			if strategy == "server" {
				knock = append(knock, worker) // where browsers connect to
			}
			for _, addr := range knock {
				for origin, allowed := range map[string]bool{
					"":                            true, // not a browser
					"http://" + c.Addr:            true,
					"http://" + worker:            true,
					"https://chat.example":        true,
					"https://evil.example":        false,
					"https://chat.example.evil":   false,
					"http://127.0.0.1:1":          false,
					"http://localhost:" + port(c): false,
					"null":                        false,
				} {
					knockAs(t, addr, origin, allowed)
				}
			}
		})
	}
}

func port(c *clustertest.Cluster) string { return c.Addr[strings.LastIndex(c.Addr, ":")+1:] }

// knockAs tries polling, a WebSocket and a preflight as a page of origin does.
func knockAs(t *testing.T, addr, origin string, allowed bool) {
	t.Helper()
	header := http.Header{}
	if origin != "" {
		header.Set("Origin", origin)
	}
	want := func(what string, r *http.Response, ok int) {
		t.Helper()
		if !allowed {
			ok = http.StatusForbidden
		}
		if r.StatusCode != ok {
			t.Errorf("%s at %s with origin %q: %d, want %d", what, addr, origin, r.StatusCode, ok)
		}
		// A script may read the answer if its page's origin is named. To the page itself it always may.
		named := r.Header.Get("Access-Control-Allow-Origin")
		cross := origin != "" && origin != "http://"+addr
		if what != "WebSocket" && named != map[bool]string{true: origin}[allowed && cross] {
			t.Errorf("%s at %s with origin %q: Access-Control-Allow-Origin is %q", what, addr, origin, named)
		}
	}

	const path = "/socket.io/?EIO=4&transport="
	for method, ok := range map[string]int{http.MethodGet: http.StatusOK, http.MethodOptions: http.StatusNoContent} {
		r, err := http.NewRequest(method, "http://"+addr+path+"polling", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = header.Clone()
		if method == http.MethodOptions {
			r.Header.Set("Access-Control-Request-Method", "POST")
			r.Header.Set("Access-Control-Request-Headers", "content-type")
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		want(method, resp, ok)
		if method == http.MethodGet && allowed && !strings.Contains(string(body), `"sid":`) {
			t.Errorf("polling with origin %q is answered %q", origin, body)
		}
		if method == http.MethodOptions && resp.Header.Get("Access-Control-Allow-Origin") != "" &&
			!strings.Contains(resp.Header.Get("Access-Control-Allow-Methods"), "POST") {
			t.Errorf("the preflight allows %q", resp.Header.Get("Access-Control-Allow-Methods"))
		}
	}

	// What is told about the cluster anybody may ask for; a page of another origin reads it only if it may connect.
	for _, path := range []string{"/cluster", "/trace?sid=none", "/route"} {
		r, err := http.NewRequest(http.MethodGet, "http://"+addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = header.Clone()
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		named := resp.Header.Get("Access-Control-Allow-Origin")
		cross := origin != "" && origin != "http://"+addr
		if named != map[bool]string{true: origin}[allowed && cross] || !strings.Contains(strings.Join(resp.Header.Values("Vary"), ","), "Origin") {
			t.Errorf("%s at %s with origin %q: Access-Control-Allow-Origin is %q, Vary %q", path, addr, origin, named, resp.Header.Values("Vary"))
		}
	}

	ws, resp, err := websocket.DefaultDialer.Dial("ws://"+addr+path+"websocket", header)
	if resp == nil {
		t.Fatal(err)
	}
	want("WebSocket", resp, http.StatusSwitchingProtocols)
	if ws != nil {
		ws.Close()
	}
}
