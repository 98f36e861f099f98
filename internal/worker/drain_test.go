package worker

import (
	"strings"
	"testing"
	"time"
)

// TestStallingOpen: a client that does not finish what would begin a session
// holds up neither the goodbye to others nor newcomers' answers.
func TestStallingOpen(t *testing.T) {
	n := newRun(t).start(0)
	sid := open(t, n.url)
	held := open(t, n.url)
	for _, request := range []string{
		strings.TrimSuffix(post("", "12"), "12"),                                 // its body is waited for
		strings.Replace(get(held), "&sid=", "&sid=&sid=", 1),                     // a poll in disguise
		strings.Replace(get("", "Content-Length: 9"), "EIO=4", "EIO=3", 1) + "x", // refused, once it is whole
	} {
		dial(t, n.url).write(t, request)
	}
	poll := dial(t, n.url)
	poll.write(t, get(sid))
	for end := time.Now().Add(10 * time.Second); n.opening.TryLock(); time.Sleep(time.Millisecond) {
		n.opening.Unlock()
		if time.Now().After(end) {
			t.Fatal("nobody is opening a session: is the test one?")
		}
	}
	go n.leave(t.Context(), 20*time.Second)
	_ = poll.SetReadDeadline(time.Now().Add(20 * time.Second)) // bodies are waited for, for 30 s
	if a, err := poll.next(); err != nil || a.body != "1" {
		t.Fatalf("the other's poll is answered %d %q, %v: want the close packet", a.status, a.body, err)
	}
	late := dial(t, n.url)
	late.write(t, get(""))
	_ = late.SetReadDeadline(time.Now().Add(20 * time.Second))
	if a, err := late.next(); err != nil || a.status != 503 {
		t.Errorf("a newcomer is answered %d %s, %v", a.status, a.body, err)
	}
}

// TestLeavesBeforeItBegins: a worker may be told to leave while it starts. (The
// race detector has something to say if that is not so.)
func TestLeavesBeforeItBegins(t *testing.T) {
	newRun(t).start(0, func(n *node) { n.stopAccepting() }).stop()
}
