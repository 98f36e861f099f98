package main

import (
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// explain tells what is wrong with a command line that kong can't parse, and
// what was probably meant.
func explain(k *kong.Kong, args []string, err error) error {
	command := k.Model.DefaultCmd
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		i := slices.IndexFunc(k.Model.Children, func(n *kong.Node) bool { return n.Name == args[0] })
		if i < 0 {
			if _, ok := find(args[0]); ok {
				return usage("there is no command %s: did you mean --strategy %s?", args[0], args[0])
			}
			return usage("there is no command %s: samedoor --help lists them", args[0])
		}
		command = k.Model.Children[i]
	}
	why := err.Error()
	if hint := meant(command, why); hint != "" {
		why += ", did you mean " + hint + "?"
	}
	return usage("%s (samedoor %s --help lists its flags)", why, command.Name)
}

// meant is what kong, which compares spellings, does not find: strategies are
// named by --strategy or --strategies, whichever the command has.
func meant(command *kong.Node, why string) string {
	i := slices.IndexFunc(command.Flags, func(f *kong.Flag) bool { return f.Name == "strategy" || f.Name == "strategies" })
	if i < 0 {
		return ""
	}
	flag := "--" + command.Flags[i].Name
	if name, ok := strings.CutPrefix(why, "unexpected argument "); ok {
		if _, ok := find(name); ok {
			return flag + " " + name
		}
	}
	if why == "unknown flag --strategy" || why == "unknown flag --strategies" {
		return flag
	}
	return ""
}
