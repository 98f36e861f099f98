package main

import (
	"fmt"
	"io"
	"runtime"

	"github.com/alecthomas/kong"
)

// version is the latest of CHANGELOG.md.
const version = "0.1.0"

type versionCmd struct{}

// Run prints it, and what it runs on.
func (versionCmd) Run(out io.Writer) error {
	_, err := fmt.Fprintf(out, "samedoor %s (%s, %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// versionFlag is --version: people try it first.
type versionFlag bool

// BeforeReset runs before anything is required or checked.
func (versionFlag) BeforeReset(k *kong.Kong) error {
	err := versionCmd{}.Run(k.Stdout)
	k.Exit(0)
	return err
}
