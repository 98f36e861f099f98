package master

import "sync"

// loads is what the workers tell of their sessions. Hardly anything reads it,
// so it is no part of the cluster that everybody is told of.
type loads struct {
	mu sync.Mutex
	by map[int]load // by slot
}

type load struct {
	sessions int
	report   uint64
}

func (l *loads) set(slot, sessions int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.by == nil {
		l.by = map[int]load{}
	}
	l.by[slot] = load{sessions, l.by[slot].report + 1}
}

// of is what a strategy is handed as Load.
func (l *loads) of(slot int) (sessions int, report uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := l.by[slot]
	return found.sessions, found.report
}
