package nginx

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/samedoor/samedoor/strategies"
)

// PATH says which nginx is run; without one there, it is looked for where it
// often is.
func TestFind(t *testing.T) {
	saved := usual
	t.Cleanup(func() { usual = saved })
	program := func(mode os.FileMode) string {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "nginx"), []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	inPath, inUsual, none, dud := program(0o755), program(0o755), t.TempDir(), program(0o644)
	for _, c := range []struct {
		path, usual string
		want        string // its directory
	}{
		{inPath, inUsual, inPath},
		{none, inUsual, inUsual},
		{dud, inUsual, inUsual},
		{inPath, none, inPath},
	} {
		t.Setenv("PATH", c.path)
		usual = []string{none, c.usual}
		if got, err := find(); err != nil || got != filepath.Join(c.want, "nginx") {
			t.Errorf("%+v: %s, %v", c, got, err)
		}
	}
}

func TestNotInstalled(t *testing.T) {
	saved := usual
	t.Cleanup(func() { usual = saved })
	usual = nil
	t.Setenv("PATH", t.TempDir())
	_, _, err := Info.New(strategies.Config{Addr: "127.0.0.1:0", WorkerPort: 3131}).Sockets(1)
	if err == nil || !strings.Contains(err.Error(), "apt-get install nginx") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v", err)
	}
}
