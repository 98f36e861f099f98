package strategies

import (
	"math"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// spare is how many descriptors a worker that takes connections leaves for all
// else that it opens: to the bus, to other workers, to read a certificate.
const spare = 16

// Descriptors tells who receives connections by message whether there is room
// for one more: the kernel drops what a process has no descriptor for. What is
// not received waits, as in the backlog of a listening socket.
type Descriptors struct {
	limit int // of this process
	last  int // number of the one that came last: no lower one was free
}

// NewDescriptors reads the process's limit.
func NewDescriptors() Descriptors {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil || l.Cur > math.MaxInt32 {
		return Descriptors{limit: math.MaxInt32}
	}
	return Descriptors{limit: int(l.Cur)}
}

// Took is told of each connection that was received. (Its descriptor is a copy of
// the one that came, and that one's number is the next one's, too.)
func (d *Descriptors) Took(c net.Conn) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	if rc, err := s.SyscallConn(); err == nil {
		_ = rc.Control(func(fd uintptr) { d.last = int(fd) })
	}
}

// Full tells whether no more should be received. It costs nothing while the
// numbers are low.
func (d *Descriptors) Full() bool {
	if d.last < d.limit-spare {
		return false
	}
	// A connection that comes takes two for a moment, hence the second lowest.
	one, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0) // any will do
	if err != nil {
		return true
	}
	defer unix.Close(one)
	two, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, one)
	if err != nil {
		return true
	}
	unix.Close(two)
	d.last = two
	return two >= d.limit-spare
}
