package main

import (
	"fmt"
	"io"
	"runtime"
)

// version is set by the Makefile.
var version = "0.1.0"

type versionCmd struct{}

func (versionCmd) Run(out io.Writer) error {
	_, err := fmt.Fprintf(out, "samedoor %s (%s, %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
