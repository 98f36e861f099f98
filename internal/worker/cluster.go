package worker

import (
	"net/netip"
	"slices"

	"github.com/samedoor/samedoor/internal/control"
)

// SetCluster tells the worker of a change in its cluster.
func (w *Worker) SetCluster(c control.Cluster) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.Version < w.cluster.Version {
		return
	}
	moved := !slices.Equal(w.cluster.Live(), c.Live())
	if w.cluster = c; moved {
		close(w.changed)
		w.changed = make(chan struct{})
	}
}

func (w *Worker) snapshot() control.Cluster {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cluster
}

func (w *Worker) live() ([]int, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cluster.Live(), w.changed
}

// state is that of this worker's slot.
func (w *Worker) state() string {
	for _, o := range w.snapshot().Workers {
		if o.Slot == w.boot.Slot {
			return o.State
		}
	}
	return ""
}

// ownPorts are those of this cluster on this host: its pages may connect
// across them.
func (w *Worker) ownPorts() []int {
	ports := []int{w.port()}
	if a, err := netip.ParseAddrPort(w.boot.Public); err == nil {
		ports = append(ports, int(a.Port()))
	}
	for _, o := range w.snapshot().Workers {
		ports = append(ports, o.Port)
	}
	return ports
}
