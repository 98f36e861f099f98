// Package wheel is a hashed timing wheel: timeouts of thousands of connections
// on one goroutine, which lives only while something is scheduled.
package wheel

import (
	"sync"
	"time"
)

const slots = 512 // a power of two; with ticks of 100 ms a turn takes 51 s

// A Wheel fires timers up to one tick late, never early.
type Wheel struct {
	tick  time.Duration
	start time.Time

	mu      sync.Mutex
	heads   [slots]*Timer
	done    int64 // ticks that were worked off
	count   int
	running bool
}

// A Timer belongs to what it times: embedded there, it costs no allocation.
type Timer struct {
	// Fire runs on the wheel's goroutine, so it must not block. It may still
	// run once when the timer was stopped or moved at that very moment.
	Fire func(now time.Time)

	next, prev *Timer
	due        int64 // tick
	set        bool
}

// New returns a wheel that looks for due timers every tick.
func New(tick time.Duration) *Wheel {
	return &Wheel{tick: max(tick, time.Millisecond), start: time.Now()}
}

// Schedule makes t fire at the given time, and at no other.
func (w *Wheel) Schedule(t *Timer, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.remove(t)
	if !w.running { // the ticks nobody waited for are over
		w.done = max(w.done, int64(time.Since(w.start)/w.tick))
		w.running = true
		go w.run()
	}
	t.due = max(int64((at.Sub(w.start)+w.tick-1)/w.tick), w.done+1)
	head := &w.heads[t.due%slots]
	t.set, t.prev, t.next = true, nil, *head
	if *head != nil {
		(*head).prev = t
	}
	*head = t
	w.count++
}

// Stop takes t off the wheel.
func (w *Wheel) Stop(t *Timer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.remove(t)
}

// Len is the number of timers that are set.
func (w *Wheel) Len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}

func (w *Wheel) remove(t *Timer) {
	if !t.set {
		return
	}
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		w.heads[t.due%slots] = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	t.set, t.next, t.prev = false, nil, nil
	w.count--
}

func (w *Wheel) run() {
	ticker := time.NewTicker(w.tick)
	defer ticker.Stop()
	var due []*Timer
	for {
		<-ticker.C
		now := time.Now()
		w.mu.Lock()
		for last := int64(now.Sub(w.start) / w.tick); w.done < last; {
			w.done++
			for t := w.heads[w.done%slots]; t != nil; {
				next := t.next
				if t.due <= w.done {
					w.remove(t)
					due = append(due, t)
				}
				t = next
			}
		}
		if w.count == 0 && len(due) == 0 {
			w.running = false
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
		for i, t := range due {
			t.Fire(now)
			due[i] = nil
		}
		if due = due[:0]; cap(due) > 4096 {
			due = nil
		}
	}
}
