package strategies

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/clustertest"
)

// byDigit chooses the slot that the last byte of the first line names; a last
// look without it is for slot 0.
func byDigit(_ netip.Addr, head []byte, last bool, live []int) (int, bool) {
	if i := bytes.IndexByte(head, '\n'); i > 0 {
		return live[int(head[i-1]-'0')%len(live)], true
	}
	return live[0], last
}

// newPeekRig is a rig whose workers, once started, answer with the line they read.
func newPeekRig(t *testing.T, n int, limit time.Duration, room int) *rig {
	return newPeekRigThat(t, n, limit, room, byDigit)
}

func newPeekRigThat(t *testing.T, n int, limit time.Duration, room int, peek PeekFunc) *rig {
	r := newRigThat(t, n, func(ctx context.Context, r *rig) error {
		return r.passer.runPeek(ctx, r.live, peek, limit, room)
	})
	r.answer = func(c net.Conn, slot int) {
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		line, err := bufio.NewReaderSize(c, 1<<17).ReadString('\n')
		if err == nil || len(line) > 0 {
			fmt.Fprintf(c, "slot %d read %d: %.20s", slot, len(line), line)
		}
	}
	return r
}

func (r *rig) workAll() {
	for slot := range r.ends {
		r.work(slot)
	}
}

func send(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
}

func TestPeek(t *testing.T) {
	r := newPeekRig(t, 3, time.Minute, 8)
	r.workAll()
	for i := range 9 {
		c := r.dial("127.0.0.1")
		send(t, c, fmt.Sprintf("line for %d\n", i%3))
		answered(t, c, fmt.Sprintf("slot %d read 11: line for %d", i%3, i%3))
	}
}

// TestPeekInPieces lets requests come in segments, and silent clients wait
// meanwhile: each gets to its slot, and holds up nobody.
func TestPeekInPieces(t *testing.T) {
	r := newPeekRig(t, 3, time.Minute, 8)
	r.workAll()
	slow := []net.Conn{r.dial("127.0.0.1"), r.dial("127.0.0.1"), r.dial("127.0.0.1")}
	for _, b := range "a slow line " {
		for _, c := range slow {
			send(t, c, string(b))
		}
		quick := r.dial("127.0.0.1")
		send(t, quick, "2\n")
		answered(t, quick, "slot 2 ")
	}
	for slot, c := range slow {
		send(t, c, fmt.Sprintf("%d\n", slot))
		answered(t, c, fmt.Sprintf("slot %d read 14: a slow line", slot))
	}
}

func TestPeekLimits(t *testing.T) {
	r := newPeekRig(t, 2, 300*time.Millisecond, 8)
	r.workAll()
	silent, half := r.dial("127.0.0.1"), r.dial("127.0.0.1")
	send(t, half, "half a li")
	if b, err := io.ReadAll(half); !strings.HasPrefix(string(b), "HTTP/1.1 408 ") {
		t.Errorf("a slow client got %q, %v", b, err)
	}
	if b, err := io.ReadAll(silent); len(b) > 0 || err != nil {
		t.Errorf("a silent client got %q, %v", b, err)
	}
	drip := r.dial("127.0.0.1")
	go func() {
		for {
			if _, err := io.WriteString(drip, "x"); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	if b, _ := io.ReadAll(drip); !strings.HasPrefix(string(b), "HTTP/1.1 408 ") {
		t.Errorf("a dripping client got %q", b)
	}
}

// TestPeekHalfClosed: who ends its side before its line waits for no deadline,
// be it at once or later: a worker says what is wrong with what there is.
func TestPeekHalfClosed(t *testing.T) {
	r := newPeekRig(t, 2, time.Hour, 8)
	r.workAll()
	for _, pause := range []time.Duration{0, 50 * time.Millisecond} {
		c := r.dial("127.0.0.1")
		send(t, c, "half a li")
		time.Sleep(pause)
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		answered(t, c, "slot 0 read 9: half a li")
	}
}

// TestPeekEndsMeanwhile: what comes with the end of the client's side, just
// after a look, is looked at before the choice is made.
func TestPeekEndsMeanwhile(t *testing.T) {
	clients := make(chan net.Conn, 1)
	r := newPeekRigThat(t, 2, time.Hour, 8, func(from netip.Addr, head []byte, last bool, live []int) (int, bool) {
		slot, ok := byDigit(from, head, last, live)
		if len(head) > 0 && !ok {
			select {
			case c := <-clients:
				_, _ = io.WriteString(c, "1\n")
				_ = c.(*net.TCPConn).CloseWrite()
				time.Sleep(time.Millisecond) // most have arrived then: enough to tell
			default:
			}
		}
		return slot, ok
	})
	r.workAll()
	for range 20 {
		c := r.dial("127.0.0.1")
		clients <- c
		send(t, c, "a line for ")
		answered(t, c, "slot 1 read 13: a line for 1\n")
	}
}

// TestPeekLongHead sends more than is looked at: the last look decides, and the
// worker reads it all.
func TestPeekLongHead(t *testing.T) {
	r := newPeekRig(t, 2, time.Minute, 8)
	r.workAll()
	c := r.dial("127.0.0.1")
	send(t, c, strings.Repeat("x", 64<<10)+"1\n")
	answered(t, c, "slot 0 read 65538: xxx")
}

// TestPeekRoom has more slow clients than may wait: the oldest are passed by
// what they have sent, and none is refused.
func TestPeekRoom(t *testing.T) {
	r := newPeekRig(t, 2, time.Minute, 3)
	var passed atomic.Int32
	answer := r.answer
	r.answer = func(c net.Conn, slot int) { passed.Add(1); answer(c, slot) }
	r.workAll()
	var slow []net.Conn
	for range 10 {
		c := r.dial("127.0.0.1")
		send(t, c, "for ")
		slow = append(slow, c)
	}
	quick := r.dial("127.0.0.1")
	send(t, quick, "1\n")
	answered(t, quick, "slot 1 ")
	for end := time.Now().Add(10 * time.Second); passed.Load() < 7+1; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d were passed, want all but 3", passed.Load())
		}
	}
	for i, c := range slow {
		send(t, c, "1\n")
		want := "slot 0 read 6: for 1"
		if i >= len(slow)-3 {
			want = "slot 1 read 6: for 1"
		}
		answered(t, c, want)
	}
}

// TestPeekEndsClean counts descriptors: whatever clients do, and when all ends
// while some wait, none is left.
func TestPeekEndsClean(t *testing.T) {
	before := clustertest.Descriptors(t)
	t.Run("", func(t *testing.T) {
		r := newPeekRig(t, 2, time.Minute, 64)
		r.workAll()
		for i := range 40 {
			c := r.dial("127.0.0.1")
			switch i % 4 {
			case 0: // half a line
				send(t, c, "half")
			case 1: // leaves at once
				c.Close()
			case 2: // leaves in the middle
				send(t, c, "half")
				_ = c.(*net.TCPConn).SetLinger(0)
				c.Close()
			case 3:
				send(t, c, "1\n")
				answered(t, c, "slot 1 ")
			}
		}
		r.setLive(1)
		c := r.dial("127.0.0.1")
		send(t, c, "x0\n")
		answered(t, c, "slot 1 ")
		r.cancel()
		if err := <-r.done; err != nil {
			t.Error(err)
		}
		r.done <- nil
	})
	deadline := time.Now().Add(5 * time.Second)
	for clustertest.Descriptors(t) > before {
		if time.Now().After(deadline) {
			t.Fatalf("%d descriptors, %d before", clustertest.Descriptors(t), before)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestPeekPassesAgain: what a given-up slot's worker had not received is looked
// at again, and goes where its first bytes say now.
func TestPeekPassesAgain(t *testing.T) {
	r := newPeekRig(t, 3, time.Minute, 8)
	r.work(1)
	r.work(2)
	var waiting []net.Conn
	for i := range 10 {
		c := r.dial("127.0.0.1")
		send(t, c, fmt.Sprintf("%d of them: 0\n", i))
		waiting = append(waiting, c)
	}
	r.setLive(1, 2)
	for i, c := range waiting {
		answered(t, c, fmt.Sprintf("slot 1 read 13: %d of them", i))
	}
}
