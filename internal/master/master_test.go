package master

import (
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/samedoor/samedoor/strategies"
)

// opens is a strategy that has its sockets.
type opens struct{ strategies.Strategy }

func (opens) Sockets(n int) (netip.AddrPort, [][]*os.File, error) {
	return netip.AddrPort{}, make([][]*os.File, n), nil
}

func TestPeerAddrInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	m := &Master{dir: &runDir{}, Config: Config{
		Strategy: strategies.Info{New: func(strategies.Config) strategies.Strategy { return opens{} }},
		Workers:  1, PeerAddr: l.Addr().String(),
	}}
	if err := m.openSockets(); err == nil || !strings.Contains(err.Error(), "--peer-addr") || strings.Count(err.Error(), "--") != 1 {
		t.Errorf("it is answered by: %v", err)
	}
}
