package forward

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strconv"

	"github.com/samedoor/samedoor/internal/control"
	"github.com/samedoor/samedoor/internal/handover"
)

// Listen opens where the other workers of this run reach this one: by
// connections, to be served as a client's ([Arrived]), and by requests,
// for [Forwarder.FromPeers]. A worker by itself has neither.
func (f *Forwarder) Listen() (conns, requests []net.Listener, err error) {
	if f.Boot.Dir == "" {
		return nil, nil, nil
	}
	if f.handed, err = handover.Listen(connSocket(f.Boot.Dir, f.Boot.Slot)); err != nil {
		return nil, nil, err
	}
	l, err := listenRequests(requestSocket(f.Boot.Dir, f.Boot.Slot))
	if err != nil {
		f.handed.Close()
		return nil, nil, err
	}
	return []net.Listener{f.handed}, []net.Listener{l}, nil
}

func listenRequests(path string) (net.Listener, error) {
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

// Arrived returns the request that a connection was handed over for; ok is false
// for any other. It is what the sender made of it: the client's address judged,
// imitated headers dropped.
func Arrived(rw http.ResponseWriter, r *http.Request) (in *http.Request, ok bool) {
	c, ok := connOf(r.Context()).(*handover.Conn)
	if !ok || !c.Claim() {
		return r, false
	}
	r.RemoteAddr = c.Client
	if !c.Returned {
		r = mark(c.Via, rw, r)
	}
	return r, true
}

// FromPeers serves what other workers send, on a listener that only they can
// use: a unix socket of this user, or TCP with a secret. What they forward is left
// to next, and what they ask to questions, by path.
func (f *Forwarder) FromPeers(next http.Handler, questions map[string]http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Context().Value(http.LocalAddrContextKey).(net.Addr).Network() != "unix" &&
			!control.SameSecret(r.Header.Get(secretHeader), f.Boot.Secret) {
			rw.Header().Set("Connection", "close") // idle connections of workers may stay, others not
			http.Error(rw, "this address is for workers of the cluster", http.StatusForbidden)
			return
		}
		if r.URL.Path == nudgePath {
			f.Nudge(r.URL.Query().Get("sid"))
			rw.Header().Set("Content-Type", "application/json")
			_, _ = rw.Write([]byte("null\n"))
			return
		}
		if answer := questions[r.URL.Path]; answer != nil {
			answer(rw, r)
			return
		}
		via, err := strconv.Atoi(r.Header.Get(ViaHeader))
		if err != nil {
			http.Error(rw, ViaHeader+" is missing", http.StatusBadRequest)
			return
		}
		r.RemoteAddr = r.Header.Get(clientHeader)
		r.Header.Del(clientHeader)
		r.Header.Del(secretHeader)
		next.ServeHTTP(rw, mark(via, rw, r))
	})
}
