package master

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// runPrefix begins the name of every run's directory.
const runPrefix = "samedoor-run-"

// maxBase is how long the path may be that they are made in: with their names,
// that of a unix socket has some 100 characters.
const maxBase = 60

// A runDir is the private directory of one run: its sockets, and what nginx
// reads. Its master keeps it locked, so that who finds it unlocked knows that
// nobody uses it. (systemd-tmpfiles leaves it alone for the same reason.)
type runDir struct {
	path string
	lock *os.File // nil where that can't be
}

// makeRunDir also removes what runs have left that were killed as a whole.
func makeRunDir() (*runDir, error) {
	base, err := filepath.Abs(os.TempDir())
	if err != nil || len(base) > maxBase {
		base = "/tmp"
	}
	for range attempts {
		path, err := os.MkdirTemp(base, runPrefix)
		if err != nil {
			return nil, fmt.Errorf("make a directory for this run: %w: set TMPDIR to one where this user may write", err)
		}
		d, err := lockRunDir(path)
		switch {
		case errors.Is(err, errGone):
			continue // another master found it before it was locked
		case err != nil: // no locks in that file system: nobody will take it for a dead one's
			return &runDir{path: path}, nil
		}
		sweep(base)
		return d, nil
	}
	return nil, fmt.Errorf("make a directory for this run: in %s none can be locked: set TMPDIR to another", base)
}

// attempts to make a directory are more than masters begin at once.
const attempts = 100

func (d *runDir) remove() {
	_ = os.RemoveAll(d.path)
	if d.lock != nil {
		d.lock.Close()
	}
}

var errGone = errors.New("somebody has it, or has removed it")

// lockRunDir returns the directory at path once it is this process's. Whoever
// has it may remove it, and nobody else does: so who gets the lock last must
// look whether it is still there.
func lockRunDir(path string) (*runDir, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return nil, errGone
	}
	if err != nil {
		return nil, os.NewSyscallError("open", err)
	}
	d := &runDir{path: path, lock: os.NewFile(uintptr(fd), path)}
	switch err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); {
	case err == unix.EWOULDBLOCK:
		d.lock.Close()
		return nil, errGone
	case err != nil:
		d.lock.Close()
		return nil, os.NewSyscallError("flock", err)
	}
	locked, lerr := d.lock.Stat()
	there, err := os.Lstat(path)
	if lerr != nil || err != nil || !os.SameFile(locked, there) {
		d.lock.Close()
		return nil, errGone
	}
	return d, nil
}

// sweep removes what is this user's and nobody's any more.
func sweep(base string) {
	all, _ := os.ReadDir(base) // as far as it can be read
	for _, e := range all {
		if !strings.HasPrefix(e.Name(), runPrefix) {
			continue
		}
		i, err := e.Info()
		if err != nil {
			continue
		}
		if st, ok := i.Sys().(*syscall.Stat_t); !ok || int(st.Uid) != os.Geteuid() {
			continue
		}
		if d, err := lockRunDir(filepath.Join(base, e.Name())); err == nil {
			d.remove()
		}
	}
}
