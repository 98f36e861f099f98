package chat

import (
	"fmt"
	"testing"
)

func TestTwoWorkersChat(t *testing.T) {
	e := embedded(t)
	a, b := start(t, e.URL(), "a", 0), start(t, e.URL(), "b", 1)
	ann, annM := a.join(t, auth("name", "Ann"))
	bob, bobM := b.join(t, auth("name", "Bob"))
	for i := range 20 {
		if got := say(annM, fmt.Sprint(i), "hello"); !got.OK {
			t.Fatal(got)
		}
		if got := say(bobM, fmt.Sprint(i), "hi"); !got.OK {
			t.Fatal(got)
		}
	}
	eventually(t, "all messages", func() bool { return len(ann.seen()) == 40 && len(bob.seen()) == 40 })
}
