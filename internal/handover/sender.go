package handover

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Sender hands connections over to other processes. Nothing it does blocks.
type Sender struct {
	mu    sync.Mutex
	lanes map[string]*Lane
}

// A Lane leads to one other process.
type Lane struct{ socket *net.UnixConn }

// ErrFull says that the other process does not receive as fast as connections come.
var ErrFull = errors.New("handover: the other process is busy")

// To returns the lane to who receives at path, or why nobody does. It stays
// open, for the next connection.
func (s *Sender) To(path string) (*Lane, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.lanes[path]; l != nil {
		if alive(l.socket) {
			return l, nil
		}
		l.socket.Close()
		delete(s.lanes, path)
	}
	c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		return nil, err
	}
	if s.lanes == nil {
		s.lanes = map[string]*Lane{}
	}
	l := &Lane{c}
	s.lanes[path] = l
	return l, nil
}

// alive tells whether the other end is open: nothing is ever sent by it, so
// that what can be read is its end.
func alive(c *net.UnixConn) bool {
	var rerr error
	var b [1]byte
	err := control(c, func(fd int) {
		_, _, rerr = unix.Recvfrom(fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	})
	return err == nil && rerr == unix.EAGAIN
}

// Send hands c over, and closes it here. On error c is still the caller's,
// whole.
func (l *Lane) Send(c *Conn) error {
	m := c.Message
	m.Read = c.unread
	b := m.Append(make([]byte, 0, len(m.Read)+128))
	if len(b) > MaxSize {
		return &net.OpError{Op: "hand over", Net: "unix", Err: unix.EMSGSIZE}
	}
	tcp, ok := tcp(c)
	if !ok {
		return errors.New("handover: no TCP connection")
	}
	var serr error
	err := control(tcp, func(fd int) {
		if cerr := control(l.socket, func(to int) {
			serr = unix.Sendmsg(to, b, unix.UnixRights(fd), nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		}); cerr != nil {
			serr = cerr
		}
	})
	switch {
	case err != nil:
		return err
	case serr == unix.EAGAIN:
		return ErrFull
	case serr != nil:
		return os.NewSyscallError("sendmsg", serr)
	}
	c.Close() // the copy in flight keeps the connection open
	return nil
}

// Close ends the connections to other processes; what was sent arrives.
func (s *Sender) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lanes {
		l.socket.Close()
	}
	s.lanes = nil
}

// control runs f with the descriptor of c, which stays as it is.
func control(c syscall.Conn, f func(fd int)) error {
	rc, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return rc.Control(func(fd uintptr) { f(int(fd)) })
}
