package strategies

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// A Lane carries accepted connections from the master to the worker of one
// slot. The master keeps both ends: what a dead worker had not received waits
// for its successor, as it would in a listening socket's backlog.
type Lane struct {
	send, recv *os.File
}

// laneBuffer bounds what may wait for a stalled worker: the kernel charges a
// message with one descriptor about 800 bytes, so some 500 connections.
const laneBuffer = 400 << 10

// NewLane opens a lane. Messages keep their boundaries (SOCK_SEQPACKET), so
// that a connection is received whole or not at all.
func NewLane() (*Lane, error) {
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	if err := unix.SetsockoptInt(p[0], unix.SOL_SOCKET, unix.SO_SNDBUF, laneBuffer/2); err != nil { // the kernel doubles it
		unix.Close(p[0])
		unix.Close(p[1])
		return nil, os.NewSyscallError("setsockopt", err)
	}
	l := &Lane{}
	var serr, rerr error
	l.send, serr = Keep(p[0], "lane (master)")
	l.recv, rerr = Keep(p[1], "lane (worker)")
	return l, errors.Join(serr, rerr)
}

// Receiver is the end that the slot's workers inherit. It stays the lane's.
func (l *Lane) Receiver() *os.File { return l.recv }

var oneByte = []byte{1}

// Pass sends the connection fd over the lane and closes it here. It never
// blocks: when it returns false the lane is full, because its worker stalls,
// or closed, and fd is still the caller's.
func (l *Lane) Pass(fd int) bool {
	rc, err := l.send.SyscallConn()
	if err != nil {
		return false
	}
	var serr error
	if err := rc.Control(func(s uintptr) {
		serr = unix.Sendmsg(int(s), oneByte, unix.UnixRights(fd), nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	}); err != nil || serr != nil {
		return false
	}
	unix.Close(fd) // the copy in flight keeps the connection open
	return true
}

// Drain takes back what no worker has received.
func (l *Lane) Drain() (fds []int) {
	rc, err := l.recv.SyscallConn()
	if err != nil {
		return nil
	}
	buf, oob := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	_ = rc.Control(func(s uintptr) {
		for {
			n, on, _, _, err := unix.Recvmsg(int(s), buf, oob, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
			if err != nil || n == 0 {
				return
			}
			fds = append(fds, Rights(oob[:on])...)
		}
	})
	return fds
}

// Close closes both ends and with them the connections still in flight.
func (l *Lane) Close() {
	l.send.Close()
	l.recv.Close()
}

// Rights returns the descriptors that came with a message, from its control
// data. They are the caller's to close.
func Rights(oob []byte) (fds []int) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for i := range msgs {
		if got, err := unix.ParseUnixRights(&msgs[i]); err == nil {
			fds = append(fds, got...)
		}
	}
	return fds
}

// receiver is the worker's side of a lane: a listener fed with descriptors.
type receiver struct {
	lane *net.UnixConn
	mu   sync.Mutex // one Accept at a time: what is below
	buf  [1]byte
	oob  [32]byte // room for one descriptor's control message
	room Descriptors
}

// Accept fails for a while, as a listening socket's does, when this process is
// about to run out of descriptors.
func (r *receiver) Accept() (net.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		n, on, _, err := r.room.Receive(r.lane, r.buf[:], r.oob[:])
		if errors.Is(err, unix.EMFILE) {
			return nil, &net.OpError{Op: "accept", Net: "unix", Err: err}
		}
		if err != nil {
			return nil, err
		}
		if n == 0 && on == 0 {
			return nil, io.EOF // the master is gone
		}
		for _, fd := range Rights(r.oob[:on]) {
			f := os.NewFile(uintptr(fd), "passed connection")
			c, err := net.FileConn(f)
			f.Close()
			if err != nil {
				continue
			}
			if c.RemoteAddr() != nil {
				return c, nil
			}
			c.Close() // reset on the way: its peer has no name, which users of a net.Conn trust in
		}
		// No connection in it: it was reset on the way. Others wait behind it.
	}
}

func (r *receiver) Close() error   { return r.lane.Close() }
func (r *receiver) Addr() net.Addr { return r.lane.LocalAddr() }
