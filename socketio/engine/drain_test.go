package engine

import (
	"context"
	"testing"
	"time"
)

// TestShutdownPolling: no request of a client that does not know yet is refused,
// and Shutdown waits until all know.
func TestShutdownPolling(t *testing.T) {
	f := serve(t, Options{})
	held, between, late := f.open(), f.open(), f.open()
	s, _ := f.Session(held)
	got := make(chan string, 1)
	go func() { _, body := f.poll(held); got <- body }()
	for !s.Writable() {
		time.Sleep(time.Millisecond)
	}
	ended := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	go func() { ended <- f.Shutdown(ctx) }()
	if body := <-got; body != "1" {
		t.Errorf("the poll that waits: %q", body)
	}
	post := func(sid, when string) {
		t.Helper()
		if status, body := f.post(sid, "4hello"); status != 200 || body != "ok" {
			t.Errorf("a POST %s: %d %q", when, status, body)
		}
	}
	post(held, "that comes when the client was told, and was on its way")
	post(between, "between two polls")
	if _, body := f.poll(between); body != "1" {
		t.Errorf("the next poll: %q", body)
	}
	post(late, "between two polls")
	select {
	case err := <-ended:
		t.Fatalf("Shutdown did not wait for the last client: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	c := f.dial(late) // that it may try meanwhile
	f.ended(c, 1000)
	if _, body := f.poll(late); body != "1" {
		t.Errorf("the next poll: %q", body)
	}
	if err := <-ended; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if status, _ := f.poll(late); status != 400 || f.Len() != 0 {
		t.Errorf("a poll of one that was told: %d, %d sessions", status, f.Len())
	}
	for end := time.Now().Add(10 * time.Second); f.Has(held) || f.Has(late); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("sessions are remembered for ever")
		}
	}
	if status, _ := f.post(late, "4"); status != 400 || f.told != 0 {
		t.Errorf("a POST long after: %d, told %d", status, f.told)
	}
}

// TestShutdownBounded: a client that never asks again holds up nobody for longer
// than ctx.
func TestShutdownBounded(t *testing.T) {
	f := serve(t, Options{})
	f.open()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := f.Shutdown(ctx); err != context.DeadlineExceeded {
		t.Error(err)
	}
}

func TestNudge(t *testing.T) {
	f := serve(t, Options{})
	sid := f.open()
	s, _ := f.Session(sid)
	s.Nudge() // nobody waits: nothing is left for the next poll
	got := make(chan string, 1)
	go func() { _, body := f.poll(sid); got <- body }()
	for !s.Writable() {
		time.Sleep(time.Millisecond)
	}
	s.Nudge()
	s.Nudge()
	if body := <-got; body != "6" {
		t.Errorf("the poll: %q", body)
	}
	_ = s.Send(Text("x"))
	if _, body := f.poll(sid); body != "4x" {
		t.Errorf("the next: %q", body)
	}
}
