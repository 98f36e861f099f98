// Command samedoor runs a chat on several workers behind one port, and shows
// what it takes for every request of a Socket.IO client to reach the worker
// that holds its session.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/samedoor/samedoor/internal/worker"
)

func main() {
	if worker.Inherited() { // started by a master: it says what to do
		exit(worker.Inherit(find), os.Stderr)
	}
	exit(run(os.Args[1:], os.Stdout, os.Stderr), os.Stderr)
}

// A usageError is answered by exit code 2: what was asked for can't be done,
// and nothing was left running.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// exit ends the process with err in one line.
func exit(err error, stderr io.Writer) {
	if err == nil {
		os.Exit(0)
	}
	if code := silentError(0); errors.As(err, &code) {
		os.Exit(int(code))
	}
	fmt.Fprintln(stderr, "samedoor:", strings.Join(strings.Fields(err.Error()), " "))
	if errors.As(err, new(usageError)) {
		os.Exit(2)
	}
	os.Exit(1)
}

// cli is the command line. Every flag also reads SAMEDOOR_<FLAG>.
type cli struct {
	Serve   serveCmd   `cmd:"" default:"withargs" help:"Start a master and its workers (what a bare samedoor does). SIGHUP replaces the workers one by one."`
	Worker  workerCmd  `cmd:"" help:"Serve one slot by itself: in a container, or on another host."`
	Doctor  doctorCmd  `cmd:"" help:"Say what is wrong with a Socket.IO deployment, and how to mend it."`
	Compare compareCmd `cmd:"" help:"Run the same handshake through every strategy, side by side."`
	Scale   scaleCmd   `cmd:"" help:"Change the number of workers of a cluster that runs."`
	Version versionCmd `cmd:"" help:"Print the version."`

	PrintVersion versionFlag `name:"version" hidden:"" env:"-" help:"As samedoor version does."`

	Bench  laterCmd `cmd:"" hidden:"" passthrough:""`
	Config laterCmd `cmd:"" hidden:"" passthrough:""`
}

const about = `Every request of one Socket.IO client must reach the worker that holds its session.

Samedoor starts several workers behind one address and a page to click on: see the handshake fail with --strategy none, and succeed with the others. Without any flag it needs no other service.

  samedoor                       # then open http://127.0.0.1:8080/page
  samedoor --strategy none       # the failing control
  samedoor --strategy nginx --workers 8

samedoor serve --help explains its flags. Every flag can also be set in the environment: --worker-port as SAMEDOOR_WORKER_PORT.`

// run parses args and runs the command they name.
func run(args []string, stdout, stderr io.Writer) error {
	var exited *int
	k, err := kong.New(&cli{},
		kong.Name("samedoor"),
		kong.Description(about),
		kong.DefaultEnvars("SAMEDOOR"),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = &code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.ValueFormatter(describe),
		kong.BindTo(stdout, (*io.Writer)(nil)),
	)
	if err != nil {
		return err
	}
	if len(args) > 0 && args[0] == "help" { // samedoor help, samedoor help serve
		args = append(slices.Clone(args[1:]), "--help")
	}
	ctx, err := k.Parse(args)
	if exited != nil { // --help was printed
		return nil
	}
	if err != nil {
		return explain(k, args, err)
	}
	return ctx.Run()
}

// describe is a flag's line in the help: what it does, its default, its variable.
func describe(v *kong.Value) string {
	text := v.Help
	if v.HasDefault && v.Default != "" {
		text = strings.TrimSuffix(text, ".") + "; default " + v.Default + "."
	}
	for _, env := range v.Tag.Envs {
		text += " $" + env
	}
	return text
}

type laterCmd struct {
	Args []string `arg:"" optional:""`
}

// Run says so, rather than do nothing.
func (*laterCmd) Run(k *kong.Context) error {
	return usage("%s is not built yet: samedoor --help lists what is", k.Selected().Name)
}
