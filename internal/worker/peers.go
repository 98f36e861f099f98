package worker

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/samedoor/samedoor/internal/bus"
	"github.com/samedoor/samedoor/internal/handover"
	"github.com/samedoor/samedoor/internal/session"
)

// peers is how this worker reaches the others: to forward a stranger to its
// owner, and to ask what they have seen.
type peers struct {
	w         *Worker
	sender    handover.Sender
	transport *http.Transport
	proxy     *httputil.ReverseProxy
	proxyOnly bool // to compare

	mu    sync.Mutex
	polls map[poll]int // forwarded, and how many of each are under way
}

// A poll that is forwarded to the session's owner.
type poll struct{ sid, addr, secret string }

// A peer is another worker: where it takes requests, and the secret that lets in.
type peer struct {
	addr, secret string
	socket       string       // where it takes whole connections; empty: not of this run
	header       http.Header  // of the answer, should the peer be gone
	gone         http.Handler // that answer
}

func newPeers(w *Worker) *peers {
	p := &peers{w: w, polls: map[poll]int{}}
	p.transport = &http.Transport{
		DialContext:           dialPeer,
		DisableCompression:    true, // pass on what the owner sends, as it is
		MaxIdleConnsPerHost:   32,
		IdleConnTimeout:       30 * time.Second,
		ResponseHeaderTimeout: pollDeadline,
	}
	p.proxy = &httputil.ReverseProxy{
		Transport:     p.transport,
		FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) {
			to := r.In.Context().Value(peerKey{}).(peer)
			r.Out.URL.Scheme, r.Out.URL.Host = "http", hostOf(to.addr)
			r.Out.Host = r.In.Host // what the Origin is compared with
			r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
			r.Out.Header.Set(viaHeader, strconv.Itoa(w.boot.Slot))
			r.Out.Header.Set(clientHeader, r.In.RemoteAddr)
			r.Out.Header.Set(secretHeader, to.secret)
		},
		ErrorHandler: func(rw http.ResponseWriter, r *http.Request, _ error) {
			if r.Context().Err() != nil { // the client has left: nothing is wrong
				return
			}
			to := r.Context().Value(peerKey{}).(peer)
			maps.Copy(rw.Header(), to.header)
			to.gone.ServeHTTP(rw, r)
		},
		ErrorLog: discard,
	}
	return p
}

type peerKey struct{}

// forwarder hands strangers to the owner that find names, once.
func (p *peers) forwarder(find func(ctx context.Context, name string) (peer, bool)) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		name, _, _ := session.Split(r.URL.Query().Get("sid"))
		to, ok := find(r.Context(), name)
		if _, forwarded := viaOf(r.Context()); forwarded || !ok {
			p.w.refusal.ServeHTTP(rw, r)
			return
		}
		if p.handOver(rw, r, to) {
			return
		}
		rec := p.w.record(rw, r)
		to.gone = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { // its sessions are, too: the client starts over
			defer rec.End()
			p.w.refuse(rec.Writer(), r)
		})
		if r.Method == http.MethodGet && r.Header.Get("Upgrade") == "" {
			defer p.polling(poll{r.URL.Query().Get("sid"), to.addr, to.secret})()
		}
		p.forward(rw, r, to)
	})
}

func (p *peers) forward(rw http.ResponseWriter, r *http.Request, to peer) {
	p.w.forwarded.Add(1)
	to.header = rw.Header().Clone()
	clear(rw.Header()) // the owner sets them all
	if to.header.Get("Connection") != "" {
		rw.Header().Set("Connection", "close")
	}
	p.proxy.ServeHTTP(rw, r.WithContext(context.WithValue(r.Context(), peerKey{}, to)))
}

// polling notes a forwarded poll until it is answered.
func (p *peers) polling(l poll) (answered func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.polls[l]++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.polls[l]--; p.polls[l] == 0 {
			delete(p.polls, l)
		}
	}
}

// nudge has the owners answer the polls that this worker forwards: cut off with
// it, they would end their sessions.
func (p *peers) nudge(ctx context.Context) {
	p.mu.Lock()
	all := slices.Collect(maps.Keys(p.polls))
	p.mu.Unlock()
	for _, l := range all {
		var none any
		_ = p.ask(ctx, peer{addr: l.addr, secret: l.secret}, nudgePath+"?sid="+url.QueryEscape(l.sid), &none)
	}
}

// neighbour finds the worker of this host that a sid's slot names. A worker
// that runs by itself has none, and a bus that is shared has names instead of
// slots: both ask the registry.
func (p *peers) neighbour(ctx context.Context, name string) (peer, bool) {
	if p.w.boot.Dir == "" || p.w.boot.Shared {
		return p.registered(ctx, name)
	}
	slot, ok := p.w.slotOf(name)
	return peer{addr: "unix:" + peerSocket(p.w.boot.Dir, slot), socket: handoverSocket(p.w.boot.Dir, slot)}, ok
}

// registered finds the worker that the registry names.
func (p *peers) registered(ctx context.Context, name string) (peer, bool) {
	if !p.w.boot.Shared {
		name += "-" + p.w.boot.Host // one cluster: its sids name slots
	}
	found, ok := p.w.registry.Lookup(ctx, name)
	to := peer{addr: found.Addr, secret: found.Secret}
	if p.w.boot.Dir != "" && found.Host == p.w.boot.Host {
		to.socket = handoverSocket(p.w.boot.Dir, found.Slot)
	}
	return to, ok && found.Addr != ""
}

// slotOf returns the slot that a sid's name stands for.
func (w *Worker) slotOf(name string) (int, bool) {
	if name == w.name {
		return w.boot.Slot, true
	}
	slot, ok := session.Slot(name)
	return slot, ok
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

func peerSocket(dir string, slot int) string {
	return filepath.Join(dir, "worker-"+strconv.Itoa(slot)+".sock")
}

// listenNeighbours opens where this worker takes requests that the workers of
// this host forward.
func (w *Worker) listenNeighbours() (net.Listener, error) {
	path := peerSocket(w.boot.Dir, w.boot.Slot)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // the predecessor's
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for forwarded requests: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// ask gets a small JSON answer from a peer.
func (p *peers) ask(ctx context.Context, to peer, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+hostOf(to.addr)+path, nil)
	if err != nil {
		return err
	}
	r.Header.Set(secretHeader, to.secret)
	resp, err := p.transport.RoundTrip(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("peer answered %s", resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

func (p *peers) close() {
	p.sender.Close()
	p.transport.CloseIdleConnections()
}

// all returns the other workers: this host's, and those of other masters and
// hosts that the registry knows, without a bus as it knew them last.
func (p *peers) all(ctx context.Context) map[bus.Worker]peer {
	found := map[bus.Worker]peer{}
	if p.w.boot.Dir != "" {
		for _, o := range p.w.snapshot().Workers {
			if o.Slot != p.w.boot.Slot {
				found[bus.Worker{Slot: o.Slot}] = peer{addr: "unix:" + peerSocket(p.w.boot.Dir, o.Slot)}
			}
		}
	}
	if p.w.boot.Shared {
		registered, _ := p.w.registry.List(ctx)
		for _, o := range registered {
			if o.ID != p.w.boot.ID && o.Host != p.w.boot.Host {
				found[o] = peer{addr: o.Addr, secret: o.Secret}
			}
		}
	}
	return found
}
