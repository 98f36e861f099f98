package commands

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// maxDir is how long a directory's path may be: that of a socket has 107 bytes
// at the most, and an address up to 52.
const maxDir = 54

// dirs are where masters of this user may have their sockets, the best first.
func dirs() (all []string) {
	own := "samedoor-" + strconv.Itoa(os.Getuid())
	for _, d := range []string{filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "samedoor"), filepath.Join(os.TempDir(), own)} {
		if filepath.IsAbs(d) && len(d) <= maxDir {
			all = append(all, d)
		}
	}
	if len(all) == 0 {
		all = append(all, filepath.Join("/tmp", own))
	}
	return all
}

// makeDir makes the first of dirs that can be made.
func makeDir() (string, error) {
	var failed error
	for _, d := range dirs() {
		err := os.Mkdir(d, 0o700)
		if errors.Is(err, os.ErrExist) {
			err = private(d)
		}
		if err == nil {
			return d, nil
		}
		failed = err
	}
	return "", failed
}

// private: /tmp is everybody's, so a directory there may be anybody's.
func private(dir string) error {
	i, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	st, ok := i.Sys().(*syscall.Stat_t)
	if !i.IsDir() || i.Mode().Perm()&0o077 != 0 || !ok || int(st.Uid) != os.Getuid() {
		return fmt.Errorf("%s is not a directory of this user's alone: remove it, or set XDG_RUNTIME_DIR", dir)
	}
	return nil
}

func pathOf(dir, addr string) string { return filepath.Join(dir, addr+".sock") }

// alive tells whether a master answers at path; what a dead one left is removed.
func alive(path string) bool {
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
		return true
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		_ = os.Remove(path)
	}
	return !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, os.ErrNotExist)
}

// ErrNone: no master of this user's runs, or none at the address.
var ErrNone = errors.New("no samedoor serve of this user's is running")

// Find returns the socket of the master at addr (host:port; empty: of the only
// one). The error says which ones there are, and may be ErrNone.
func Find(addr string) (path string, err error) {
	var found, names []string
	for _, d := range dirs() {
		if private(d) != nil {
			continue
		}
		all, _ := filepath.Glob(filepath.Join(d, "*.sock"))
		for _, p := range all {
			name := strings.TrimSuffix(filepath.Base(p), ".sock")
			if !alive(p) {
				continue
			}
			names = append(names, name)
			if matches(name, addr) {
				found = append(found, p)
			}
		}
	}
	switch running := strings.Join(names, ", "); {
	case len(names) == 0:
		return "", ErrNone
	case len(found) == 0:
		return "", fmt.Errorf("no samedoor serve is running at %s, but at %s: choose with --addr", addr, running)
	case len(found) > 1:
		return "", fmt.Errorf("several are running, at %s: choose one with --addr", running)
	}
	return found[0], nil
}

// matches tells whether an address as people write it means the public address
// name: localhost, an empty host, port 0 for any, or an address of a wildcard's.
func matches(name, addr string) bool {
	if addr == "" || addr == name {
		return true
	}
	public, err := netip.ParseAddrPort(name)
	host, port, serr := net.SplitHostPort(addr)
	if err != nil || serr != nil || port != "0" && port != strconv.Itoa(int(public.Port())) {
		return false
	}
	if host == "" || public.Addr().IsUnspecified() {
		return true
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap() == public.Addr().Unmap()
	}
	ips, _ := net.LookupIP(host)
	for _, ip := range ips {
		if a, ok := netip.AddrFromSlice(ip); ok && a.Unmap() == public.Addr().Unmap() {
			return true
		}
	}
	return false
}
