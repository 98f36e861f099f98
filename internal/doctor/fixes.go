package doctor

import (
	"embed"
	"fmt"
	"strconv"
	"strings"
)

// A folder per problem, a file per proxy. app1:3000 and app2:3000 stand for
// the workers, except in sticky/any.txt, where they share a machine. The tests
// apply those of every proxy that can be had.
//
//go:embed fixes
var fixFiles embed.FS

// prescribe adds the fix for the proxy in sight.
func (e *exam) prescribe(f *Finding) {
	if f.Status != Failure && f.Status != Warning {
		return
	}
	p := e.sight()
	fix := Fix{Text: f.advice}
	if f.problem != "" {
		if config, ok := fixFor(f.problem, p); ok {
			fix.Proxy, fix.Config = p.Name, config
		} else if p.Name == "" {
			if config, ok := fixFor(f.problem, Proxy{Name: "any"}); ok {
				fix.Config = config
			}
			if fix.Text != "" {
				fix.Text += " "
			}
			fix.Text += "No proxy in sight; --proxy NAME prints the configuration for one."
		}
	}
	if fix != (Fix{}) {
		f.Fix = &fix
	}
}

// fixFor finds the configuration; newer versions may have their own.
func fixFor(problem string, p Proxy) (string, bool) {
	name := p.Name
	if p.Name == "nginx" && atLeast(p.Version, 1, 29, 6) {
		if b, err := fixFiles.ReadFile(fmt.Sprintf("fixes/%s/nginx-1.29.6.txt", problem)); err == nil {
			return string(b), true
		}
	}
	b, err := fixFiles.ReadFile(fmt.Sprintf("fixes/%s/%s.txt", problem, name))
	return string(b), err == nil && name != ""
}

// atLeast compares dotted versions; an unknown one is old.
func atLeast(version string, want ...int) bool {
	parts := strings.Split(version, ".")
	for i, w := range want {
		n := 0
		if i < len(parts) {
			n, _ = strconv.Atoi(parts[i])
		}
		if n != w {
			return n > w
		}
	}
	return true
}
