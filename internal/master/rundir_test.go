package master

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestRunDir(t *testing.T) {
	base := filepath.Join(t.TempDir(), "[a") // which means something to patterns
	if len(base) > maxBase {
		t.Skip("a long path")
	}
	t.Setenv("TMPDIR", base)
	dead := filepath.Join(base, runPrefix+"1")
	for _, d := range []string{dead, filepath.Join(base, "samedoor-2"), filepath.Join(base, "mine")} {
		if err := os.MkdirAll(filepath.Join(d, "worker-0.sock"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("mine", filepath.Join(base, runPrefix+"3")); err != nil {
		t.Fatal(err)
	}
	one, err := makeRunDir()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(dead); err == nil {
		t.Error("what a dead run left is still there")
	}
	two, err := makeRunDir()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{one.path, two.path, filepath.Join(base, "samedoor-2", "worker-0.sock"), filepath.Join(base, "mine", "worker-0.sock")} {
		if _, err := os.Stat(d); err != nil {
			t.Errorf("%s is gone", d)
		}
	}
	one.remove()
	two.remove()
	if left, err := os.ReadDir(base); err != nil || len(left) != 3 { // the link, and what is none of ours
		t.Errorf("left: %v %v", left, err)
	}
}

// TestRunDirsAtOnce: masters that start together don't sweep one another's.
func TestRunDirsAtOnce(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				d, err := makeRunDir()
				if err != nil {
					t.Error(err)
					return
				}
				if err := os.WriteFile(filepath.Join(d.path, "x"), nil, 0o600); err != nil {
					t.Error(err)
				}
				d.remove()
			}
		})
	}
	all.Wait()
}

func TestRunDirCannotBeMade(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "none"))
	if len(os.TempDir()) > maxBase {
		t.Skip("a long path")
	}
	if _, err := makeRunDir(); err == nil || !strings.Contains(err.Error(), "set TMPDIR") {
		t.Error(err)
	}
}
