package master

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/samedoor/samedoor/internal/control"
)

// watch says when the cluster is ready, and ends it when no worker is left.
func (m *Master) watch(ctx context.Context, cancel context.CancelCauseFunc, out io.Writer) {
	said := false
	for {
		c, changed := m.watchable()
		ready := 0
		for _, w := range c.Workers {
			if w.State == control.Ready {
				ready++
			}
		}
		lost := gone(c)
		switch {
		case lost != "" && !said:
			cancel(fmt.Errorf("worker %s did not start: its reason stands in the log above", lost))
		case len(c.Live()) == 0:
			cancel(fmt.Errorf("no worker is left: all %d slots were given up, for the reasons in the log above", len(c.Workers)))
		case ready == m.Workers && !said:
			if m.healthy(ctx) {
				said = true
				close(m.up)
				fmt.Fprintf(out, "ready %s://%s/page strategy=%s workers=%d\n", m.scheme(), reachable(m.public), m.Strategy.Name, m.Workers)
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

func gone(c control.Cluster) string {
	for _, w := range c.Workers {
		if w.State == control.GivenUp {
			return strconv.Itoa(w.Slot)
		}
	}
	return ""
}

// healthy asks for /healthz as a client would, until it is answered, or nobody
// may be left to do so.
func (m *Master) healthy(ctx context.Context) bool {
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: m.pinned()}}
	for ctx.Err() == nil && gone(m.snapshot()) == "" {
		resp, err := client.Get(m.scheme() + "://" + reachable(m.public) + "/healthz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return true
			}
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return false
}

// reachable is the address to open in a browser: a wildcard as loopback.
func reachable(a netip.AddrPort) string {
	ip := a.Addr().Unmap()
	switch {
	case ip == netip.IPv4Unspecified(), ip == netip.IPv6Unspecified():
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return net.JoinHostPort(ip.String(), strconv.Itoa(int(a.Port())))
}

// settle is the time between two replacements: the clients of the first have
// come back by then, and each meets few ends in a row.
const settle = time.Second

// reload replaces the workers one by one whenever a signal arrives, each once
// the one before is ready again.
func (m *Master) reload(ctx context.Context, signals <-chan os.Signal) {
	for {
		select {
		case <-signals:
		case <-ctx.Done():
			return
		}
		if m.turn(ctx) != nil {
			return
		}
		m.replaceAll(ctx)
		<-m.changing
	}
}

// turn waits until the workers are not being replaced, added or taken away.
// Whoever it returns nil to does so, and then empties changing.
func (m *Master) turn(ctx context.Context) error {
	select {
	case m.changing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *Master) replaceAll(ctx context.Context) {
	m.log.Info("reload: replacing the workers one by one")
	for i, s := range m.all() {
		if i > 0 {
			select {
			case <-time.After(settle):
			case <-ctx.Done():
				return
			}
		}
		if !m.replace(ctx, s) {
			if ctx.Err() == nil {
				m.log.Error("reload stopped: the new worker is not ready", "slot", s.index)
			}
			return
		}
	}
}

// all are the slots that there are now.
func (m *Master) all() []*slot {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.slots)
}

// replace orders a new process for s and waits until it is ready.
func (m *Master) replace(ctx context.Context, s *slot) bool {
	if m.snapshot().Workers[s.index].State == control.GivenUp {
		return true // nothing to replace
	}
	ready := make(chan struct{})
	timeout := time.After(30 * time.Second)
	select {
	case s.restart <- ready:
	case <-timeout:
		return false
	case <-ctx.Done():
		return false
	}
	select {
	case <-ready:
		return true
	case <-timeout:
		return false
	case <-ctx.Done():
		return false
	}
}
