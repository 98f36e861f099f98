package deployments

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A step is one instruction of a Dockerfile.
type step struct{ verb, args string }

func dockerfile(t *testing.T) (steps []step) {
	t.Helper()
	b, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(b), "\\\n", "")
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		verb, args, _ := strings.Cut(line, " ")
		steps = append(steps, step{verb, strings.TrimSpace(args)})
	}
	return steps
}

func TestDockerfile(t *testing.T) {
	last := map[string]string{} // of the final stage
	var stages []string
	for _, s := range dockerfile(t) {
		switch s.verb {
		case "FROM":
			f := strings.Fields(s.args)
			if !pinned.MatchString(f[0]) {
				t.Errorf("FROM %s names no version", s.args)
			}
			if len(f) == 3 && f[1] == "AS" {
				stages = append(stages, f[2])
			}
			clear(last)
		case "COPY":
			checkCopy(t, s.args, stages)
		}
		last[s.verb] = s.args
	}
	for verb, want := range map[string]string{
		"USER":       "10001:10001",
		"EXPOSE":     "3131",
		"STOPSIGNAL": "SIGTERM",
		"ENTRYPOINT": `["samedoor"]`,
		"ENV":        "SAMEDOOR_LISTEN=0.0.0.0:3131",
	} {
		if last[verb] != want {
			t.Errorf("%s %q, want %q", verb, last[verb], want)
		}
	}
	if !strings.Contains(last["HEALTHCHECK"], "/healthz") {
		t.Errorf("HEALTHCHECK %q does not ask /healthz", last["HEALTHCHECK"])
	}
	if slices.Contains(dockerfile(t), step{"USER", "root"}) {
		t.Error("something runs as root")
	}
}

func checkCopy(t *testing.T, args string, stages []string) {
	t.Helper()
	f := strings.Fields(args)
	if from, ok := strings.CutPrefix(f[0], "--from="); ok {
		if !slices.Contains(stages, from) {
			t.Errorf("COPY %s: no stage before it is called %s", args, from)
		}
		return
	}
	for _, source := range f[:len(f)-1] {
		if !exists(filepath.Join(root, source)) {
			t.Errorf("COPY %s: %s is not there", args, source)
		}
	}
}

// healthcheck is the command by which the image tells whether a worker is well.
func healthcheck(t *testing.T) string {
	t.Helper()
	for _, s := range dockerfile(t) {
		if _, cmd, ok := strings.Cut(s.args, "CMD "); ok && s.verb == "HEALTHCHECK" {
			return cmd
		}
	}
	t.Fatal("no HEALTHCHECK")
	return ""
}
