package master

import (
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/samedoor/samedoor/internal/control"
)

// A process is one worker process, from start to end.
type process struct {
	*os.Process
	conn *control.Conn
	said chan control.Message // what it says; closed after the last word
	done chan struct{}        // closed when it has ended
	how  string               // it ended, once done is closed

	order func(control.Order) // what its pages ask for; must not block
}

// start starts a worker that inherits sockets, tells it all it must know, and
// watches it. Nothing is shared with it but those sockets and the log stream.
func start(boot control.Boot, cluster control.Cluster, sockets []*os.File, order func(control.Order)) (*process, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	conn, theirs, err := control.Pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		conn.Close()
		return nil, err
	}
	defer null.Close()

	// os/exec would make the sockets' shared descriptions blocking, under
	// whoever else serves them; hence copies of the bare descriptors.
	fds := []uintptr{null.Fd(), os.Stderr.Fd(), os.Stderr.Fd()}
	var copies []int
	defer func() {
		for _, fd := range copies {
			unix.Close(fd)
		}
	}()
	for _, f := range append([]*os.File{theirs}, sockets...) {
		fd, err := copyFD(f)
		if err != nil {
			conn.Close()
			return nil, err
		}
		copies, fds = append(copies, fd), append(fds, uintptr(fd))
	}
	slot := strconv.Itoa(boot.Slot)
	pid, err := syscall.ForkExec(exe, []string{os.Args[0], "worker", "--slot", slot}, &syscall.ProcAttr{
		Env:   append(control.Environ(), "SAMEDOOR_SLOT="+slot, control.FDVariable+"=3"),
		Files: fds,
	})
	if err != nil {
		conn.Close()
		return nil, os.NewSyscallError("start worker", err)
	}
	p := &process{conn: conn, said: make(chan control.Message, 4), done: make(chan struct{}), order: order}
	p.Process, _ = os.FindProcess(pid) // on unix it always succeeds
	go p.listen()
	go p.wait()
	_ = conn.Send(control.Message{Boot: &boot, Cluster: &cluster}) // a worker that dies before it reads is noticed below
	return p, nil
}

// copyFD duplicates f's descriptor, close-on-exec.
func copyFD(f *os.File) (fd int, err error) {
	rc, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	var derr error
	if err := rc.Control(func(s uintptr) { fd, derr = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 3) }); err != nil {
		return -1, err
	}
	return fd, os.NewSyscallError("fcntl", derr)
}

func (p *process) listen() {
	defer p.conn.Close()
	defer close(p.said)
	for {
		m, err := p.conn.Receive()
		if err != nil {
			return
		}
		if m.Order != nil { // not said: what a page does must not keep the slot from hearing of Ready
			p.order(*m.Order)
			continue
		}
		p.said <- m
	}
}

func (p *process) wait() {
	state, err := p.Wait()
	switch {
	case err != nil:
		p.how = err.Error()
	default:
		p.how = state.String()
	}
	close(p.done)
}

// drain tells a worker to send its clients elsewhere, and to end within limit.
func (p *process) drain(limit time.Duration) {
	if err := p.conn.Send(control.Message{Drain: limit}); err != nil {
		_ = p.Kill()
	}
}

// tell passes on a change in the cluster. A worker that does not read is
// stalled; half a message would confuse it later, so it is ended.
func (p *process) tell(c control.Cluster) { p.send(control.Message{Cluster: &c}) }

func (p *process) send(m control.Message) {
	if err := p.conn.Send(m); err != nil {
		_ = p.Kill()
	}
}
