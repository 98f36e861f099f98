package forward

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/samedoor/samedoor/internal/bus"
	"github.com/samedoor/samedoor/internal/session"
)

// A peer is another worker: where it takes requests, the secret that lets in,
// and where it takes whole connections (empty: it is not of this run).
type peer struct{ addr, secret, socket string }

// inSlot is the worker in a slot of this host.
func (f *Forwarder) inSlot(slot int) peer {
	dir := f.Boot.Dir
	return peer{addr: "unix:" + requestSocket(dir, slot), socket: connSocket(dir, slot)}
}

func requestSocket(dir string, slot int) string {
	return filepath.Join(dir, "worker-"+strconv.Itoa(slot)+".sock")
}

func connSocket(dir string, slot int) string {
	return filepath.Join(dir, "handover-"+strconv.Itoa(slot)+".sock")
}

// Addr is where the other workers find this one; empty if they can't.
func (f *Forwarder) Addr() string {
	if f.Boot.PeerAddr == "" && f.Boot.Dir != "" {
		return f.inSlot(f.Boot.Slot).addr
	}
	return f.Boot.PeerAddr
}

// neighbour finds the worker of this host that a sid's slot names. A worker
// that runs by itself has none, and a bus that is shared has names instead of
// slots: both ask the registry.
func (f *Forwarder) neighbour(ctx context.Context, name string) (peer, bool) {
	if f.Boot.Dir == "" || f.Boot.Shared {
		return f.registered(ctx, name)
	}
	slot, ok := session.Slot(name)
	return f.inSlot(slot), ok
}

// registered finds the worker that the registry names.
func (f *Forwarder) registered(ctx context.Context, name string) (peer, bool) {
	if !f.Boot.Shared {
		name += "-" + f.Boot.Host // one cluster: its sids name slots
	}
	found, ok := f.Registry.Lookup(ctx, name)
	to := peer{addr: found.Addr, secret: found.Secret}
	if f.Boot.Dir != "" && found.Host == f.Boot.Host {
		to.socket = connSocket(f.Boot.Dir, found.Slot)
	}
	return to, ok && found.Addr != ""
}

// others returns the other workers: this host's, of which only the slot is told,
// and those of other masters and hosts that the registry knows, without a bus as
// it knew them last.
func (f *Forwarder) others(ctx context.Context) map[bus.Worker]peer {
	found := map[bus.Worker]peer{}
	if f.Boot.Dir != "" {
		for _, o := range f.Cluster().Workers {
			if o.Slot != f.Boot.Slot {
				found[bus.Worker{Slot: o.Slot}] = f.inSlot(o.Slot)
			}
		}
	}
	if f.Boot.Shared {
		registered, _ := f.Registry.List(ctx)
		for _, o := range registered {
			if o.ID != f.Boot.ID && o.Host != f.Boot.Host {
				found[o] = peer{addr: o.Addr, secret: o.Secret}
			}
		}
	}
	return found
}

// An Ask puts a question, a path and its query, to one worker, and decodes the
// small JSON answer. It waits for half a second.
type Ask func(question string, into any) error

// Others calls each for all other workers at once, and waits. Of those of this
// run only the slot is told: the master knows the rest.
func (f *Forwarder) Others(ctx context.Context, each func(o bus.Worker, ask Ask)) {
	var wg sync.WaitGroup
	for o, to := range f.others(ctx) {
		wg.Go(func() {
			each(o, func(question string, into any) error { return f.ask(ctx, to, question, into) })
		})
	}
	wg.Wait()
}

func (f *Forwarder) ask(ctx context.Context, to peer, question string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+hostOf(to.addr)+question, nil)
	if err != nil {
		return err
	}
	r.Header.Set(secretHeader, to.secret)
	resp, err := f.transport.RoundTrip(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("peer answered %s", resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// hostOf makes a host name of a peer's address, so that the transport keeps
// its connections by it; dialPeer reads it back.
func hostOf(addr string) string { return hex.EncodeToString([]byte(addr)) + ".peer" }

func dialPeer(ctx context.Context, _, host string) (net.Conn, error) {
	name, _, _ := strings.Cut(host, ".")
	b, err := hex.DecodeString(name)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: 2 * time.Second}
	if path, ok := strings.CutPrefix(string(b), "unix:"); ok {
		return d.DialContext(ctx, "unix", path)
	}
	return d.DialContext(ctx, "tcp", string(b))
}
