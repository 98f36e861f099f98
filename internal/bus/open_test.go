package bus

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/samedoor/samedoor/internal/bus/bustest"
	"github.com/samedoor/samedoor/internal/clustertest"
)

// startError does what serve does first.
func startError(url string) string {
	b, err := Open(url, slog.New(slog.DiscardHandler))
	if err == nil {
		defer b.Close()
		err = b.Ping(context.Background())
	}
	if err == nil {
		return ""
	}
	return Explain(url, err)
}

func TestExplain(t *testing.T) {
	garbage, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer garbage.Close()
	go func() {
		for {
			c, err := garbage.Accept()
			if err != nil {
				return
			}
			c.Write([]byte("SSH-2.0-other\r\n"))
			c.Close()
		}
	}()
	e := embedded(t)
	_, addr, _ := strings.Cut(e.URL(), "@")
	addr = strings.TrimSuffix(addr, "/0")
	for name, tt := range map[string]struct{ url, want string }{
		"refused":       {"redis://:hunter2@127.0.0.1:1", "redis://127.0.0.1:1 is out of reach (connection refused): start Redis or leave --redis away"},
		"no password":   {"redis://" + addr, "another user or password"},
		"wrong one":     {"redis://:hunter2@" + addr, "another user or password"},
		"no TLS":        {"rediss://:hunter2@" + addr, "redis:// instead of rediss://"},
		"garbage":       {"redis://:hunter2@" + garbage.Addr().String(), "does not answer as Redis does"},
		"database":      {"redis://127.0.0.1:1/hunter2", "cannot be read"},
		"scheme":        {"http://:hunter2@127.0.0.1:1", `its scheme is "http"`},
		"no scheme":     {"127.0.0.1:6379", "cannot be read"},
		"split":         {"redis://user:hunter2/x@127.0.0.1:1", "cannot be read"},
		"split at port": {"redis://user:1/hunter2@127.0.0.1:1", "cannot be read"},
		"option":        {"redis://127.0.0.1:1?nonsense=1", "option that is not known: nonsense"},
		"socket":        {"unix://" + filepath.Join(t.TempDir(), "none.sock"), "no such socket"},
		"host":          {"redis://:hunter2@no-such-host.invalid:1", "--redis"},
	} {
		t.Run(name, func(t *testing.T) {
			got := startError(tt.url)
			if !strings.Contains(got, tt.want) || strings.Contains(got, "hunter2") || strings.Contains(got, "\n") {
				t.Errorf("%s: %q, want one line with %q", tt.url, got, tt.want)
			}
		})
	}
}

func TestExplainSilence(t *testing.T) {
	r := bustest.StartRedis(t)
	r.Pause()
	defer r.Resume()
	if got := startError(r.URL()); !strings.Contains(got, "no answer") {
		t.Error(got)
	}
}

func TestURLs(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "redis.sock")
	r := bustest.StartRedis(t, "--unixsocket", socket, "--requirepass", "p@ss/word")
	for _, url := range []string{
		"redis://:p%40ss%2Fword@" + r.Addr + "/3",
		"redis://default:p%40ss%2Fword@" + r.Addr,
		"unix://:p%40ss%2Fword@" + socket,
	} {
		if got := startError(url); got != "" {
			t.Errorf("%s: %s", url, got)
		}
	}
}

// TestCluster: every script and read works where keys of several slots would
// be refused.
func TestCluster(t *testing.T) {
	r := bustest.StartRedis(t, "--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1")
	c := r.Client()
	defer c.Close()
	if err := c.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	clustertest.Until(t, limit, "cluster", func() bool {
		return strings.Contains(c.ClusterInfo(t.Context()).Val(), "cluster_state:ok")
	})
	everything(t, "redis://"+r.Addr+"?addr="+r.Addr)
}

func TestSentinel(t *testing.T) {
	r := bustest.StartRedis(t)
	_, port, _ := net.SplitHostPort(r.Addr)
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	if err := os.WriteFile(conf, []byte("sentinel monitor doors 127.0.0.1 "+port+" 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := bustest.StartSentinel(t, conf)
	everything(t, "redis://"+s.Addr+"?master_name=doors")
}
