package main

import (
	"strings"

	"github.com/samedoor/samedoor/strategies"
	"github.com/samedoor/samedoor/strategies/kernel"
	"github.com/samedoor/samedoor/strategies/master"
	"github.com/samedoor/samedoor/strategies/nginx"
	"github.com/samedoor/samedoor/strategies/none"
	"github.com/samedoor/samedoor/strategies/redis"
	"github.com/samedoor/samedoor/strategies/server"
	"github.com/samedoor/samedoor/strategies/sid"
)

// all is THE list of strategies.
var all = []strategies.Info{
	none.Info,
	nginx.Info,
	server.Info,
	master.Info,
	kernel.Info,
	sid.Info,
	redis.Info,
}

func find(name string) (strategies.Info, bool) {
	for _, s := range all {
		if s.Name == name {
			return s, true
		}
	}
	return strategies.Info{}, false
}

// chosen is find with the error for the command line.
func chosen(name string) (strategies.Info, error) {
	if s, ok := find(name); ok {
		return s, nil
	}
	return strategies.Info{}, usage("unknown strategy %q: choose %s", name, names())
}

// names lists the strategies as a sentence does.
func names() string {
	var ns []string
	for _, s := range all {
		ns = append(ns, s.Name)
	}
	return strings.Join(ns[:len(ns)-1], ", ") + " or " + ns[len(ns)-1]
}
