package wheel

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"
)

func TestFiresInTime(t *testing.T) {
	const tick = 5 * time.Millisecond
	w := New(tick)
	var mu sync.Mutex
	var wg sync.WaitGroup
	var early, late int
	for range 500 {
		wg.Add(1)
		at := time.Now().Add(time.Duration(rand.IntN(100)) * time.Millisecond)
		w.Schedule(&Timer{Fire: func(now time.Time) {
			defer wg.Done()
			mu.Lock()
			defer mu.Unlock()
			if now.Before(at) {
				early++
			}
			if now.Sub(at) > 500*time.Millisecond { // a busy machine's
				late++
			}
		}}, at)
	}
	wg.Wait()
	if early > 0 || late > 0 {
		t.Errorf("%d early, %d late", early, late)
	}
}

func TestMovedAndStopped(t *testing.T) {
	w := New(time.Millisecond)
	fired := make(chan int, 10)
	timer := func(n int) *Timer { return &Timer{Fire: func(time.Time) { fired <- n }} }
	a, b, c := timer(1), timer(2), timer(3)
	soon := time.Now().Add(20 * time.Millisecond)
	w.Schedule(a, soon)
	w.Schedule(b, soon)
	w.Schedule(c, soon)
	w.Stop(b)
	w.Stop(b)
	w.Schedule(c, soon.Add(30*time.Millisecond))
	if n := w.Len(); n != 2 {
		t.Errorf("%d timers are set", n)
	}
	if x, y := <-fired, <-fired; x != 1 || y != 3 {
		t.Errorf("fired %d and %d", x, y)
	}
	time.Sleep(20 * time.Millisecond)
	if len(fired) > 0 {
		t.Errorf("%d fired too", <-fired)
	}
}

func TestLongerThanATurn(t *testing.T) {
	w := New(time.Millisecond)
	began := time.Now()
	done := make(chan struct{})
	w.Schedule(&Timer{Fire: func(time.Time) { close(done) }}, began.Add(700*time.Millisecond))
	<-done
	if d := time.Since(began); d < 700*time.Millisecond {
		t.Errorf("after %v", d)
	}
}

func TestGoroutineEndsAndComesBack(t *testing.T) {
	w := New(time.Millisecond)
	before := runtime.NumGoroutine()
	for range 3 {
		done := make(chan struct{})
		w.Schedule(&Timer{Fire: func(time.Time) { close(done) }}, time.Now().Add(5*time.Millisecond))
		<-done
		for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the goroutine stays without timers")
			}
		}
	}
}
