package worker

import (
	"net"
	"strings"
	"sync"
	"sync/atomic"
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

// TestAcceptedLast: a connection that is accepted while the listener closes is
// answered before the worker ends, although its server learns of it late.
func TestAcceptedLast(t *testing.T) {
	l := &slowly{closed: make(chan struct{})}
	n := newRun(t).start(0, func(n *node) { l.Listener, n.listener = n.listener, l })
	c := dial(t, n.url)
	c.write(t, get(""))
	for end := time.Now().Add(10 * time.Second); !l.took.Load(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing is accepted")
		}
	}
	n.stop()
	if a, err := c.next(); err != nil || a.status != 503 {
		t.Errorf("answered %d %s, %v", a.status, a.body, err)
	}
}

// slowly is a listener whose connections come a moment after it was closed.
type slowly struct {
	net.Listener
	once   sync.Once
	closed chan struct{}
	took   atomic.Bool
}

func (l *slowly) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.took.Store(true)
		<-l.closed
		time.Sleep(100 * time.Millisecond)
	}
	return c, err
}

func (l *slowly) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}
