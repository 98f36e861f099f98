package rules

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/samedoor/samedoor/"

type pkg struct {
	ImportPath, Doc string
	Imports         []string
	GoFiles         []string
}

func packages(t *testing.T) (all []pkg) {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Doc,Imports,GoFiles", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("found only %d packages", len(all))
	}
	return all
}

func in(path, folder string) bool {
	path = strings.TrimPrefix(path, module)
	return path == folder || strings.HasPrefix(path, folder+"/")
}

// concrete tells a strategy from the interface and its suite.
func concrete(path string) bool {
	return in(path, "strategies") && path != module+"strategies" && !in(path, "strategies/strategytest")
}

func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		for _, i := range p.Imports {
			ours := strings.HasPrefix(i, module)
			std := !strings.Contains(strings.Split(i, "/")[0], ".")
			low := std || strings.HasPrefix(i, "golang.org/x/sys/") || strings.HasPrefix(i, "golang.org/x/net/")
			var why string
			switch {
			case p.ImportPath == module+"strategies" && !low:
				why = "strategies: the standard library, x/sys and x/net only"
			case concrete(p.ImportPath) && !low && i != module+"strategies" && i != module+"nginx":
				why = "a strategy: strategies, and nginx for its own"
			case (in(p.ImportPath, "web") || in(p.ImportPath, "internal")) && concrete(i):
				why = "only cmd/samedoor names the strategies"
			case (in(p.ImportPath, "internal/doctor") || in(p.ImportPath, "internal/bench")) && (in(i, "web") || in(i, "strategies")):
				why = "doctor and bench judge from outside"
			case in(p.ImportPath, "socketio") && ours && !in(i, "socketio"):
				why = "socketio is for anyone's program"
			case strings.Contains(i, "zishang520/") && p.ImportPath != module+"internal/engines":
				why = "the Socket.IO library is there to compare with: internal/engines only"
			case ours && strings.HasSuffix(i, "test") && !strings.HasSuffix(p.ImportPath, "test") && !in(p.ImportPath, "e2e"):
				why = "a helper of tests: other helpers only"
			}
			if why != "" {
				t.Errorf("%s imports %s; allowed: %s", strings.TrimPrefix(p.ImportPath, module), i, why)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("%s has no package comment", strings.TrimPrefix(p.ImportPath, module))
		}
	}
}
