package doctor

import (
	"embed"
	"fmt"
	"strconv"
	"strings"
)

// A folder per problem, a file per proxy; in whole, the configuration that has
// none of the problems, for proxies whose parts can't stand by themselves.
// app1:3000 and app2:3000 stand for the workers, except in sticky/any.txt,
// where they share a machine. The tests apply those of every proxy that can be
// had.
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
			names, format := Proxies(), "No proxy in sight: --proxy NAME prints the configuration for one of %s."
			if config, ok := fixFor(f.problem, Proxy{Name: "any"}); ok { // nginx's
				fix.Config = config
				names, format = names[1:], "No proxy in sight, so this is for nginx; --proxy NAME prints it for another: %s."
			}
			fix.Text = strings.TrimSpace(fix.Text + " " + fmt.Sprintf(format, strings.Join(names, ", ")))
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
	if err != nil && problem != "payload" { // a limit that is nobody's default
		b, err = fixFiles.ReadFile(fmt.Sprintf("fixes/whole/%s.txt", name))
	}
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
