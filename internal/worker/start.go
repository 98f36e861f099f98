package worker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/samedoor/samedoor/internal/bus"
	"github.com/samedoor/samedoor/strategies"
)

// What a master and a worker by itself have in common when they begin.

// StartError says why a cluster or a worker could not begin; nothing was left
// running.
type StartError struct{ Err error }

func (e StartError) Error() string { return e.Err.Error() }
func (e StartError) Unwrap() error { return e.Err }

// CheckBus tells, in a line, why the bus at url cannot be used.
func CheckBus(ctx context.Context, url string) error {
	b, err := bus.Open(url, slog.New(slog.DiscardHandler)) // what goes wrong is the error returned
	if err == nil {
		defer b.Close()
		err = b.Ping(ctx)
	}
	if err != nil {
		return errors.New(bus.Explain(url, err))
	}
	return nil
}

// RandomName is what tells one master's workers from another's.
func RandomName() string { return strings.ToLower(rand.Text()[:6]) }

// OpenPeer opens where a worker takes forwarded requests from other hosts.
func OpenPeer(addr string) (*os.File, error) {
	f, _, err := strategies.OpenTCP(addr)
	if err != nil {
		return nil, fmt.Errorf("%w: choose another with --peer-addr", err)
	}
	return f, nil
}

// PeerAddrOf returns the address of a slot, from that of slot 0.
func PeerAddrOf(addr string, slot int) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return ""
	}
	n, _ := strconv.Atoi(port) // checked with the flags
	return net.JoinHostPort(host, strconv.Itoa(n+slot))
}
