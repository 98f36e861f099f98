package clients

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/clustertest"
)

// cpu is the time that processes have used so far.
func cpu(pids []int) (used time.Duration) {
	const tick = 10 * time.Millisecond // USER_HZ is 100 on Linux
	for _, pid := range pids {
		if f := clustertest.Stat(pid); f != nil {
			user, _ := strconv.Atoi(f[11])
			system, _ := strconv.Atoi(f[12])
			used += time.Duration(user+system) * tick
		}
	}
	return used
}

// family lists a process and all that descend from it, in whichever process
// group: nginx has one of its own.
func family(pid int) []int {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, s := range stats {
		child, _ := strconv.Atoi(filepath.Base(filepath.Dir(s)))
		if f := clustertest.Stat(child); f != nil {
			parent, _ := strconv.Atoi(f[1])
			children[parent] = append(children[parent], child)
		}
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// still tells whether all threads of a process have been stopped.
func still(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, s := range threads {
		b, err := os.ReadFile(s)
		if err != nil || !bytes.Contains(b[bytes.LastIndexByte(b, ')')+1:], []byte(" T ")) {
			return false
		}
	}
	return len(threads) > 0
}

// alive returns those of pids that are.
func alive(pids []int) (still []int) {
	for _, pid := range pids {
		if clustertest.Stat(pid) != nil {
			still = append(still, pid)
		}
	}
	return still
}

// free fails the test unless one can listen on the cluster's addresses.
func free(t testing.TB, c *clustertest.Cluster, workerPorts int) {
	t.Helper()
	addrs := []string{c.Addr}
	for i := range workerPorts {
		addrs = append(addrs, net.JoinHostPort("127.0.0.1", strconv.Itoa(c.Port+i)))
	}
	for _, a := range addrs {
		l, err := net.Listen("tcp", a)
		if err != nil {
			t.Errorf("a port is still taken: %v", err)
			continue
		}
		l.Close()
	}
}

// workers returns the processes by slot.
func workers(c *clustertest.Cluster) (pids []int) {
	for _, w := range c.Status().Workers {
		pids = append(pids, w.PID)
	}
	return pids
}

// kill ends a slot's worker as a crash does.
func kill(t testing.TB, c *clustertest.Cluster, slot int) (pid int) {
	t.Helper()
	s := c.Status()
	if len(s.Workers) <= slot {
		t.Fatalf("/cluster tells of %d workers only: %+v", len(s.Workers), s)
	}
	pid = s.Workers[slot].PID
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatalf("kill the worker of slot %d: %v", slot, err)
	}
	return pid
}

// successor waits until another process than old is ready in a slot.
func successor(t testing.TB, c *clustertest.Cluster, slot, old int) {
	t.Helper()
	clustertest.Until(t, 5*time.Second, fmt.Sprintf("another worker in slot %d", slot), func() bool {
		var s clustertest.Status
		if c.Get("/cluster", &s) != nil { // it may have been the dead one's to answer
			return false
		}
		if len(s.Workers) <= slot {
			t.Errorf("/cluster tells of %d workers only: %+v", len(s.Workers), s)
			return false
		}
		w := s.Workers[slot]
		return w.PID != old && w.State == "ready"
	})
}

// each runs a test in those of the strategies, as subtests.
func each(t *testing.T, names []string, f func(t *testing.T, strategy string)) {
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			if name == "nginx" {
				need(t, "nginx")
			}
			f(t, name)
		})
	}
}

var sticky = []string{"master", "kernel", "nginx", "server", "sid", "redis"} // those that work
