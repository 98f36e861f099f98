package bus

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/clustertest"
)

func TestEmbedded(t *testing.T) {
	e := embedded(t)
	u, err := url.Parse(e.URL())
	if err != nil {
		t.Fatal(err)
	}
	secret, _ := u.User.Password()
	if len(secret) < 20 || u.Hostname() != "127.0.0.1" || e.URL() == embedded(t).URL() {
		t.Errorf("URL %s", strings.ReplaceAll(e.URL(), secret, "…"))
	}
	b := open(t, e.URL())
	if err := b.client.Set(t.Context(), "k", "v", time.Second).Err(); err != nil {
		t.Fatal(err)
	}
	clustertest.Until(t, limit, "expiry", func() bool { return b.client.Exists(t.Context(), "k").Val() == 0 })
	appendN(t, b, "lobby", 0, 1100)
	if ms, err := b.Last(t.Context(), "lobby", 5000); err != nil || len(ms) != 1000 {
		t.Errorf("%d kept, %v; want 1000", len(ms), err)
	}
}
