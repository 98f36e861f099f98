// Package commands is how `samedoor scale` speaks to a master that runs: over a
// unix socket named after its public address, in a directory that only its user
// may enter. One JSON object each way, a line each.
package commands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Request is what is asked for.
type Request struct {
	Scale int `json:"scale"` // how many workers there shall be
}

// Answer comes when it is done, or can't be.
type Answer struct {
	Was   int    `json:"was"`
	Now   int    `json:"now"`
	Error string `json:"error,omitempty"`
}

// Listen opens the socket of the master at a public address, and removes what a
// dead one left there.
func Listen(addr string) (net.Listener, error) {
	dir, err := makeDir()
	if err != nil {
		return nil, err
	}
	path := pathOf(dir, addr)
	if alive(path) {
		return nil, fmt.Errorf("another master answers at %s", path)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// Serve handles requests until ctx is done. handle's context ends when the
// asker has left.
func Serve(ctx context.Context, l net.Listener, handle func(asking context.Context, r Request) Answer) {
	defer context.AfterFunc(ctx, func() { l.Close() })()
	var all sync.WaitGroup
	defer all.Wait()
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(100 * time.Millisecond) // out of descriptors
			continue
		}
		all.Go(func() {
			defer c.Close()
			defer context.AfterFunc(ctx, func() { c.Close() })()
			if ours(c) {
				converse(ctx, c, handle)
			}
		})
	}
}

func converse(ctx context.Context, c net.Conn, handle func(context.Context, Request) Answer) {
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	dec := json.NewDecoder(c)
	var r Request
	if dec.Decode(&r) != nil {
		return
	}
	_ = c.SetReadDeadline(time.Time{})
	asking, left := context.WithCancel(ctx)
	defer left()
	go func() { // nothing more is to come: this is the end of the asker, or of c
		_, _ = c.Read(make([]byte, 1))
		left()
	}()
	_ = json.NewEncoder(c).Encode(handle(asking, r))
}

// ours tells whether the other end is a process of this user's, or root's.
func ours(c net.Conn) bool {
	rc, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return false
	}
	var cred *unix.Ucred
	var cerr error
	if err := rc.Control(func(fd uintptr) {
		cred, cerr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil || cerr != nil {
		return false
	}
	return cred.Uid == 0 || int(cred.Uid) == os.Getuid()
}

// Ask sends a request to the master at path, and waits for its answer.
func Ask(path string, r Request) (a Answer, err error) {
	c, err := net.Dial("unix", path)
	if err != nil {
		return a, err
	}
	defer c.Close()
	if err := json.NewEncoder(c).Encode(r); err != nil {
		return a, err
	}
	if err := json.NewDecoder(c).Decode(&a); err != nil {
		return a, errors.New("the master ended meanwhile")
	}
	return a, nil
}
