package handover

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/samedoor/samedoor/strategies"
)

// A Listener receives the connections that other processes hand over, for an
// http.Server to serve. Each is a [*Conn].
type Listener struct {
	socket *net.UnixListener
	conns  chan *Conn
	done   chan struct{} // closed by Close

	mu       sync.Mutex
	draining bool
	lanes    map[*net.UnixConn]bool
	readers  sync.WaitGroup // of lanes, and who accepts them
	begun    sync.WaitGroup // first requests that were not claimed yet
	close    sync.Once
}

// Listen receives at path, for processes of this user alone. What a predecessor
// left there is replaced.
func Listen(path string) (*Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	socket, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		return nil, fmt.Errorf("listen for connections handed over: %w", err)
	}
	socket.SetUnlinkOnClose(false) // it may be a successor's by then
	if err := os.Chmod(path, 0o600); err != nil {
		socket.Close()
		return nil, err
	}
	l := &Listener{socket: socket, conns: make(chan *Conn), done: make(chan struct{}), lanes: map[*net.UnixConn]bool{}}
	l.readers.Go(l.acceptLanes)
	return l, nil
}

func (l *Listener) acceptLanes() {
	for {
		lane, err := l.socket.AcceptUnix()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(10 * time.Millisecond) // out of descriptors: senders go on by proxy
			continue
		}
		l.mu.Lock()
		if l.draining {
			l.mu.Unlock()
			lane.Close()
			continue
		}
		l.lanes[lane] = true
		l.readers.Go(func() { l.receive(lane) })
		l.mu.Unlock()
	}
}

// receive takes what comes over a lane until its other end, or this listener,
// is closed.
func (l *Listener) receive(lane *net.UnixConn) {
	defer func() {
		l.mu.Lock()
		delete(l.lanes, lane)
		l.mu.Unlock()
		lane.Close()
	}()
	buf, oob := make([]byte, MaxSize), make([]byte, unix.CmsgSpace(4))
	room := strategies.NewDescriptors()
	for {
		n, on, flags, err := room.Receive(lane, buf, oob)
		if errors.Is(err, unix.EMFILE) {
			select {
			case <-time.After(10 * time.Millisecond): // once the lane is full, senders go on by proxy
				continue
			case <-l.done:
				return
			}
		}
		if err != nil || n == 0 && on == 0 {
			return
		}
		c, err := received(buf[:n], oob[:on], flags)
		if err != nil { // of another version: its client tries again
			continue
		}
		l.begun.Add(1)
		c.begun = l.begun.Done
		l.offer(c)
	}
}

// received makes a connection of a message. On error nothing is left open.
func received(b, oob []byte, flags int) (*Conn, error) {
	fds := strategies.Rights(oob)
	if len(fds) != 1 || flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		for _, fd := range fds {
			unix.Close(fd)
		}
		return nil, errMessage
	}
	f := os.NewFile(uintptr(fds[0]), "connection handed over")
	defer f.Close() // FileConn duplicates it
	m, err := Parse(b)
	if err != nil {
		return nil, err
	}
	beneath, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	m.Read = append([]byte(nil), m.Read...) // the buffer is the next message's
	return newConn(beneath, m), nil
}

// offer leaves c to Accept.
func (l *Listener) offer(c *Conn) {
	select {
	case l.conns <- c:
	case <-l.done:
		c.Close()
	}
}

// Return has c served here after all: by this listener's server. It closes c
// when that has begun to shut down.
func (l *Listener) Return(c *Conn) {
	l.mu.Lock()
	if l.draining {
		l.mu.Unlock()
		c.Close()
		return
	}
	c.Returned = true
	c.begun = l.begun.Done
	l.begun.Add(1)
	l.mu.Unlock()
	l.offer(c)
}

// Drain lets nobody hand over anything more, and waits until the first requests
// on all connections that were are being served. (A server that shuts down
// would close them without an answer.)
func (l *Listener) Drain(stop <-chan struct{}) {
	l.socket.Close()
	l.mu.Lock()
	l.draining = true
	for lane := range l.lanes {
		// Senders are told; what they have sent before can still be read.
		_ = control(lane, func(fd int) { _ = unix.Shutdown(fd, unix.SHUT_RDWR) })
	}
	l.mu.Unlock()
	served := make(chan struct{})
	go func() {
		l.readers.Wait()
		l.begun.Wait()
		close(served)
	}()
	select {
	case <-served:
	case <-stop:
	}
}

// Accept returns the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close receives no more, and closes what was received and not accepted.
func (l *Listener) Close() error {
	l.close.Do(func() {
		close(l.done)
		l.socket.Close()
		l.mu.Lock()
		defer l.mu.Unlock()
		l.draining = true
		for lane := range l.lanes {
			lane.Close()
		}
	})
	return nil
}

// Addr is where the listener receives.
func (l *Listener) Addr() net.Addr { return l.socket.Addr() }
