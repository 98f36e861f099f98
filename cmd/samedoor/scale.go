package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/samedoor/samedoor/internal/commands"
)

type scaleCmd struct {
	N    int    `arg:"" help:"How many workers there shall be, 1 to 256."`
	Addr string `help:"Public address of the cluster, where several run." placeholder:"HOST:PORT"`
}

// Run returns once new workers are ready, or those taken away have ended.
func (c *scaleCmd) Run(out io.Writer) error {
	if c.N < 1 || c.N > maxWorkers {
		return usage("scale %d: choose 1 to %d workers", c.N, maxWorkers)
	}
	if c.Addr != "" {
		if err := checkAddr("--addr", c.Addr, 1); err != nil {
			return err
		}
	}
	path, err := commands.Find(c.Addr)
	if errors.Is(err, commands.ErrNone) {
		return usage("%w: start one first", err)
	}
	if err != nil {
		return usageError{err}
	}
	a, err := commands.Ask(path, commands.Request{Scale: c.N})
	switch {
	case err != nil:
		return err
	case a.Error != "":
		return errors.New(a.Error)
	case a.Was == a.Now:
		fmt.Fprintf(out, "%d workers: nothing to change\n", a.Now)
	default:
		fmt.Fprintf(out, "%d → %d workers\n", a.Was, a.Now)
	}
	return nil
}
