package strategies

import (
	"math"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// spare is how many descriptors a worker that takes connections leaves for all
// else that it opens: to the bus, to other workers, to read a certificate.
const spare = 16

// Far from the limit it is enough to look now and then: no process opens so
// many descriptors so soon. Near it, or once near it, it is not: the lowest that
// is free may be one of a few holes.
const (
	far  = 8192
	soon = 100 * time.Millisecond
)

// Descriptors tells who receives connections by message whether there is room
// for one more: the kernel drops what a process has no descriptor for. What is
// not received waits, as in the backlog of a listening socket. It is for one
// goroutine at a time.
type Descriptors struct {
	limit  int // of this process
	most   int // that were seen in use
	looked time.Time
}

// NewDescriptors reads the process's limit.
func NewDescriptors() Descriptors {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil || l.Cur > math.MaxInt32 {
		return Descriptors{limit: math.MaxInt32}
	}
	return Descriptors{limit: int(l.Cur)}
}

// Receive waits for a message, as [net.UnixConn.ReadMsgUnix] does. It fails with
// EMFILE, and leaves the message where it is, if there is no room for its
// descriptor when it comes.
func (d *Descriptors) Receive(from *net.UnixConn, b, oob []byte) (n, oobn, flags int, err error) {
	rc, err := from.SyscallConn()
	if err != nil {
		return 0, 0, 0, err
	}
	var rerr error
	err = rc.Read(func(fd uintptr) (done bool) {
		if d.full() {
			if _, _, rerr = unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT); rerr != unix.EAGAIN {
				rerr = unix.EMFILE
			}
			return rerr == unix.EMFILE // without a message there is nothing to leave
		}
		n, oobn, flags, _, rerr = unix.Recvmsg(int(fd), b, oob, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		return rerr != unix.EAGAIN
	})
	if err == nil {
		err = os.NewSyscallError("recvmsg", rerr)
	}
	return max(n, 0), oobn, flags, err
}

// full tells whether a descriptor can't be had. What came last tells nothing of
// what the process has opened since, as for connections that it accepts by itself.
func (d *Descriptors) full() bool {
	now := time.Now()
	if d.most < d.limit-far && now.Sub(d.looked) < soon {
		return false
	}
	// A connection that comes takes two for a moment, hence the second lowest.
	one, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0) // any will do
	if err != nil {
		return err == unix.EMFILE
	}
	defer unix.Close(one)
	two, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, one)
	if err != nil {
		return true
	}
	unix.Close(two)
	d.most, d.looked = max(d.most, two), now
	return two >= d.limit-spare
}
