package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/samedoor/samedoor/internal/compare"
	"github.com/samedoor/samedoor/internal/logs"
	"github.com/samedoor/samedoor/internal/worker"
	"github.com/samedoor/samedoor/strategies/nginx"
	"github.com/samedoor/samedoor/strategies/none"
)

type compareCmd struct {
	Addr        string   `default:"127.0.0.1:8080" help:"Address of the page; port 0 picks one." placeholder:"HOST:PORT"`
	Workers     int      `default:"4" help:"Number of slots of each cluster." placeholder:"N"`
	Strategies  []string `help:"Which to compare, and in which order. Default: all." placeholder:"NAME,…"`
	Clients     int      `default:"20" help:"How many clients a run sends through each strategy." placeholder:"N"`
	BasePort    int      `help:"First port of the clusters, which take the next ones, too: each its public port and one for every worker. Default: some that are free." placeholder:"PORT"`
	NginxMethod string   `default:"ip_hash" help:"How nginx picks: ip_hash, hash or sid." placeholder:"NAME"`
	Once        bool     `help:"Run the clients once, print what they met, and end."`
	JSON        bool     `name:"json" help:"With --once: print JSON."`
	SVG         string   `name:"svg" help:"With --once: also write the results as a picture." placeholder:"FILE"`
	Log         string   `default:"text" help:"Format of the log on standard error: text or json." placeholder:"FORMAT"`
}

func (*compareCmd) Help() string {
	return `Starts a cluster for every strategy, each on a port of its own, and a page that runs the same handshake through all of them.

  samedoor compare               # then open http://127.0.0.1:8080/compare
  samedoor compare --once        # 20 clients through each, as a table

Exit code of --once: 0 if all clients came through every strategy (but none, which is meant to fail), 1 if not.`
}

func (c *compareCmd) Run(out io.Writer) error {
	config, err := c.config()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := logs.New(os.Stderr, c.Log).With("pid", os.Getpid())
	cmp, err := compare.Open(config, log)
	if err == nil && c.Once {
		err = c.once(ctx, cmp, out)
	} else if err == nil {
		err = cmp.Serve(ctx, func(running, absent []string) {
			for _, why := range absent {
				log.Warn("can't run here: " + why)
			}
			fmt.Fprintf(out, "ready %s strategies=%s\n", cmp.URL(), strings.Join(running, ","))
		})
	}
	if errors.As(err, new(worker.StartError)) {
		return usageError{err}
	}
	return err
}

// once runs the clients and ends.
func (c *compareCmd) once(ctx context.Context, cmp *compare.Comparison, out io.Writer) error {
	within, end := context.WithCancel(ctx)
	defer end()
	var results *compare.Results
	var failed error
	if err := cmp.Serve(within, func(_, _ []string) { // the results say why
		defer end()
		results, failed = cmp.Run(within)
	}); err != nil {
		return err
	}
	switch {
	case ctx.Err() != nil && results == nil:
		return errors.New("interrupted before all clients had come: run it again")
	case failed != nil:
		return failed
	}
	if c.SVG != "" {
		if err := os.WriteFile(c.SVG, results.SVG(), 0o666); err != nil {
			return err
		}
	}
	if c.JSON {
		b, err := results.JSON()
		if err == nil {
			_, err = out.Write(b)
		}
		if err != nil {
			return err
		}
	} else if err := results.Table(out); err != nil {
		return err
	}
	if wrong := results.Wrong(); wrong != nil {
		return fmt.Errorf("not everybody came through %s: the results say why", strings.Join(wrong, ", "))
	}
	return nil
}

// config checks the flags.
func (c *compareCmd) config() (config compare.Config, err error) {
	if err := checkAddr("--addr", c.Addr, 1); err != nil {
		return config, err
	}
	chosen, err := c.chosen()
	if err != nil {
		return config, err
	}
	ports := len(chosen) * (c.Workers + 1)
	switch {
	case c.Workers < 1 || c.Workers > maxWorkers:
		return config, usage("--workers %d: choose 1 to %d", c.Workers, maxWorkers)
	case c.Clients < 1 || c.Clients > compare.MaxClients:
		return config, usage("--clients %d: choose 1 to %d", c.Clients, compare.MaxClients)
	case c.BasePort < 0 || c.BasePort+ports-1 > 65535:
		return config, usage("--base-port %d: there are no %d ports from there up to 65535", c.BasePort, ports)
	case !slices.Contains(nginxMethods, c.NginxMethod):
		return config, usage("unknown nginx method %q: choose ip_hash, hash or sid", c.NginxMethod)
	case c.Log != "text" && c.Log != "json":
		return config, usage("unknown log format %q: choose text or json", c.Log)
	case (c.JSON || c.SVG != "") && !c.Once:
		return config, usage("--json and --svg go with --once: the page has buttons for both")
	}
	if c.Once { // whose page nobody opens
		i := strings.LastIndexByte(c.Addr, ':')
		c.Addr = c.Addr[:i] + ":0"
	}
	binary, err := os.Executable()
	return compare.Config{
		Binary: binary, Version: version, Addr: c.Addr, BasePort: c.BasePort, Workers: c.Workers, Clients: c.Clients, Strategies: chosen,
	}, err
}

// chosen returns the strategies that --strategies names, or all.
func (c *compareCmd) chosen() (list []compare.Strategy, err error) {
	infos := all
	if len(c.Strategies) > 0 {
		infos = nil
		for _, name := range c.Strategies {
			info, err := chosen(strings.TrimSpace(name))
			if err != nil {
				return nil, err
			}
			infos = append(infos, info)
		}
	}
	for _, info := range infos {
		if slices.ContainsFunc(list, func(s compare.Strategy) bool { return s.Name == info.Name }) {
			return nil, usage("--strategies names %s twice", info.Name)
		}
		s := compare.Strategy{Name: info.Name, Doc: info.Doc, Control: info.Name == none.Info.Name, Wanted: len(c.Strategies) > 0}
		if info.Name == nginx.Info.Name {
			s.Args = []string{"--nginx-method", c.NginxMethod}
		}
		list = append(list, s)
	}
	return list, nil
}
