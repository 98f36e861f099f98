package strategies

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// OpenTCP opens a listening TCP socket on addr (host:port) to be inherited by
// other processes. The file is non-blocking and close-on-exec.
func OpenTCP(addr string) (*os.File, netip.AddrPort, error) {
	var none netip.AddrPort
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // Go's default since 1.24; BPF programs and some proxies don't take it
	l, err := lc.Listen(context.Background(), "tcp", addr)
	if errors.Is(err, unix.EADDRINUSE) {
		return nil, none, &InUseError{Addr: addr}
	}
	if err != nil {
		return nil, none, err
	}
	defer l.Close() // dup below holds the socket
	fd, err := dup(l.(*net.TCPListener))
	if err != nil {
		return nil, none, err
	}
	f, err := Keep(fd, "tcp "+l.Addr().String())
	if err != nil {
		return nil, none, err
	}
	return f, l.Addr().(*net.TCPAddr).AddrPort(), nil
}

// InUseError says that somebody else listens on Addr.
type InUseError struct{ Addr string }

func (e *InUseError) Error() string { return "address " + e.Addr + " is in use" }

// Keep makes a file of a new socket that the master keeps for others to serve.
// It is non-blocking, but not in the master's poller, which every connection
// would wake. When it fails, fd is closed.
func Keep(fd int, name string) (*os.File, error) {
	err := unix.SetNonblock(fd, false)
	f := os.NewFile(uintptr(fd), name) // looks at the mode: blocking files are not polled
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		f.Close()
		return nil, os.NewSyscallError("fcntl", err)
	}
	return f, nil
}

// dup copies the descriptor of c. It does not use File, which would make the
// shared description blocking, for every process that has it.
func dup(c syscall.Conn) (fd int, err error) {
	rc, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	var derr error
	if err := rc.Control(func(s uintptr) { fd, derr = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return -1, err
	}
	return fd, os.NewSyscallError("fcntl", derr)
}

// serve copies a kept listening socket, to be accepted from in this process.
func serve(f *os.File) (*os.File, error) {
	fd, err := dup(f)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil // non-blocking, hence polled
}

// Listen (worker) returns a listener for a socket made by [Strategy.Sockets]: a
// listening socket as it is, or the connections that arrive over a [Lane].
func Listen(f *os.File) (net.Listener, error) {
	defer f.Close() // both kinds below duplicate it
	rc, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var listening int
	var serr error
	if err := rc.Control(func(s uintptr) {
		listening, serr = unix.GetsockoptInt(int(s), unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	}); err != nil {
		return nil, err
	}
	if serr != nil {
		return nil, fmt.Errorf("inherit %s: %w", f.Name(), os.NewSyscallError("getsockopt", serr))
	}
	if listening != 0 {
		return net.FileListener(f)
	}
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("inherit %s: %w", f.Name(), err)
	}
	return &receiver{lane: c.(*net.UnixConn), room: NewDescriptors()}, nil
}

// deferAccept asks the kernel to keep connections to itself until their first
// bytes are there: who accepts one then need not be woken again to read, which
// is a tenth of what a connection costs. Silent ones it hands over all the same,
// after a second or, under a flood, at once.
func deferAccept(f *os.File) error {
	rc, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	if err := rc.Control(func(s uintptr) { serr = unix.SetsockoptInt(int(s), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 1) }); err != nil {
		return err
	}
	return os.NewSyscallError("setsockopt", serr)
}

// acceptLoop accepts raw descriptors from f until it is closed. They stay in
// blocking mode and outside the poller: they are only passed on. handle owns fd.
func acceptLoop(f *os.File, handle func(fd int, from netip.Addr)) error {
	rc, err := f.SyscallConn()
	if err != nil {
		return err
	}
	for {
		var aerr error
		err := rc.Read(func(s uintptr) bool {
			for {
				fd, sa, err := syscall.Accept4(int(s), unix.SOCK_CLOEXEC) // unix.Accept4 asks for the protocol, too: a system call more
				switch err {
				case nil:
					handle(fd, addrOf(sa))
					return true // to find out whether f was closed: under a flood there is always a next one
				case unix.EAGAIN:
					return false // park until the next connection
				case unix.EINTR, unix.ECONNABORTED:
				default:
					aerr = err
					return true
				}
			}
		})
		switch {
		case err != nil:
			return err
		case exhausted(aerr):
			time.Sleep(exhaustedFor) // connections wait in the backlog
		case aerr != nil:
			return os.NewSyscallError("accept4", aerr)
		}
	}
}

// exhaustedFor is how long to do without descriptors or memory before asking again.
const exhaustedFor = 10 * time.Millisecond

// exhausted tells that a system call found too few of them: that passes.
func exhausted(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOMEM)
}

func addrOf(sa syscall.Sockaddr) netip.Addr {
	switch s := sa.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrFrom4(s.Addr)
	case *syscall.SockaddrInet6:
		return netip.AddrFrom16(s.Addr).Unmap()
	}
	return netip.Addr{}
}
