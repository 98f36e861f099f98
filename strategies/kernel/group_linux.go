package kernel

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/samedoor/samedoor/strategies"
)

// A group is listening sockets that share one address. The kernel numbers them
// in the order of their listen(), which is slot order; closing one would
// renumber the last.
type group struct {
	addr  netip.AddrPort
	files []*os.File // by slot
	live  []int      // what the attached program chooses among
}

// open adds the next slot's socket to the group, or begins one on addr, which
// is then to choose among live. [strategies.InUseError] if somebody is there.
func (g *group) open(addr string, live []int) error {
	first := len(g.files) == 0
	if first {
		at, err := resolve(addr)
		if err != nil {
			return err
		}
		g.addr = at
	}
	fd, err := g.listen(first, live)
	if first && errors.Is(err, unix.EADDRINUSE) {
		return &strategies.InUseError{Addr: addr}
	}
	if err != nil {
		return &net.OpError{Op: "listen", Net: "tcp", Addr: net.TCPAddrFromAddrPort(g.addr), Err: err}
	}
	f, err := strategies.Keep(fd, "tcp "+g.addr.String())
	if err == nil {
		g.files = append(g.files, f)
	}
	return err
}

// listen opens a socket on g.addr, without Multipath TCP, which takes no
// program. The first claims the address for itself, so that an orphan of
// another run is met with an error: it would take connections and never
// answer. Only then does it admit others, of this user.
func (g *group) listen(first bool, live []int) (fd int, err error) {
	family, sa := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: int(g.addr.Port()), Addr: g.addr.Addr().As16(), ZoneId: zone(g.addr.Addr())})
	if g.addr.Addr().Is4() {
		family, sa = unix.AF_INET, &unix.SockaddrInet4{Port: int(g.addr.Port()), Addr: g.addr.Addr().As4()}
	}
	if fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	option := func(level, name, value int) {
		if err == nil {
			err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, level, name, value))
		}
	}
	option(unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if family == unix.AF_INET6 {
		option(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0)
	}
	option(unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 1) // as strategies.Passer does: a worker that accepts need not wait to read
	if !first {
		option(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}
	if err == nil {
		err = os.NewSyscallError("bind", unix.Bind(fd, sa))
	}
	if first {
		option(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		if err == nil {
			err = attach(fd, live) // no connection is ever spread by ports
		}
	}
	if err == nil {
		err = os.NewSyscallError("listen", unix.Listen(fd, 1<<16-1)) // lowered to net.core.somaxconn
	}
	if err == nil && first {
		g.live = live
		g.addr, err = withPort(g.addr, fd)
	}
	return fd, err
}

// fits tells whether the kernel takes a program for n slots, or what to do. It is
// asked before there are so many: later a refusal could only end the cluster.
func fits(n int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	all := make([]int, n)
	for slot := range all {
		all[slot] = slot
	}
	return attach(fd, all)
}

// choose lets the kernel choose among the live slots, from one packet to the next.
func (g *group) choose(live []int) error {
	if len(live) == 0 || slices.Equal(live, g.live) { // with none left, the master ends
		return nil
	}
	rc, err := g.files[0].SyscallConn()
	if err != nil {
		return err
	}
	var aerr error
	if err := rc.Control(func(fd uintptr) { aerr = attach(int(fd), live) }); err != nil {
		return err
	}
	if aerr == nil {
		g.live = live
	}
	return aerr
}

func (g *group) close() {
	for _, f := range g.files {
		f.Close()
	}
}

// networkHeader is the offset by which a program asks for the IP header:
// SKF_NET_OFF, -0x100000. At 0 it would find the TCP payload.
const networkHeader = 0xFFF00000

// attach gives fd's whole group the program, in place of the one before. No
// privilege is needed for it.
func attach(fd int, live []int) error {
	raw, err := bpf.Assemble(strategies.Program(networkHeader, live))
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF,
		&unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
	switch {
	case err == unix.ENOMEM:
		return fmt.Errorf("%d slots need a program that is longer than this kernel's net.core.optmem_max allows: raise that, or choose --strategy master", len(live))
	case err != nil:
		return fmt.Errorf("this kernel takes no program for SO_REUSEPORT (%w): choose --strategy master", err)
	}
	return nil
}

// resolve finds the address to listen on as package net does: IPv4 before
// IPv6, and every address of both for a wildcard.
func resolve(addr string) (netip.AddrPort, error) {
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return netip.AddrPort{}, &net.OpError{Op: "listen", Net: "tcp", Err: err}
	}
	at := a.AddrPort()
	ip := at.Addr().Unmap()
	if !ip.IsValid() || ip.IsUnspecified() {
		ip = netip.IPv4Unspecified()
		if fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err == nil { // this machine has IPv6
			unix.Close(fd)
			ip = netip.IPv6Unspecified()
		}
	}
	return netip.AddrPortFrom(ip, at.Port()), nil
}

// zone returns the index of the interface that a link-local address names.
func zone(a netip.Addr) uint32 {
	if i, err := net.InterfaceByName(a.Zone()); err == nil {
		return uint32(i.Index)
	}
	return 0
}

// withPort returns a with the port that fd has, if it was left open.
func withPort(a netip.AddrPort, fd int) (netip.AddrPort, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return a, os.NewSyscallError("getsockname", err)
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		a = netip.AddrPortFrom(a.Addr(), uint16(sa.Port))
	case *unix.SockaddrInet6:
		a = netip.AddrPortFrom(a.Addr(), uint16(sa.Port))
	}
	return a, nil
}
