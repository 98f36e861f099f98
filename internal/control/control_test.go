package control

import (
	"errors"
	"io"
	"os"
	"reflect"
	"testing"

	"golang.org/x/sys/unix"
)

// TestConversation lets this process be both master and worker.
func TestConversation(t *testing.T) {
	master, theirs, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	rc, err := theirs.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var fd int
	if err := rc.Control(func(s uintptr) { fd, err = unix.Dup(int(s)) }); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	worker, err := Inherit(fd)
	if err != nil {
		t.Fatal(err)
	}
	boot := Boot{Strategy: "master", Slot: 2, Sockets: 1, Origins: []string{"https://a"}, Rate: 20}
	cluster := Cluster{Since: 1, Workers: []Worker{{Slot: 0, State: GivenUp}, {Slot: 1, State: Waiting}, {Slot: 2, State: Ready}}}
	if err := master.Send(Message{Boot: &boot, Cluster: &cluster}); err != nil {
		t.Fatal(err)
	}
	got, err := worker.Receive()
	if err != nil || !reflect.DeepEqual(*got.Boot, boot) || !reflect.DeepEqual(*got.Cluster, cluster) {
		t.Errorf("got %+v, %v", got, err)
	}
	if live := got.Cluster.Live(); !reflect.DeepEqual(live, []int{1, 2}) {
		t.Errorf("live %v: only a slot given up is not", live)
	}
	if serving := got.Cluster.Serving(); !reflect.DeepEqual(serving, []int{2}) {
		t.Errorf("serving %v: only slot 2 is ready", serving)
	}
	if none := (Cluster{Workers: cluster.Workers[:2]}).Serving(); !reflect.DeepEqual(none, []int{1}) {
		t.Errorf("serving %v: the live ones, if none is ready", none)
	}
	if err := worker.Send(Message{Ready: true}); err != nil {
		t.Fatal(err)
	}
	if got, err := master.Receive(); err != nil || !got.Ready {
		t.Errorf("got %+v, %v", got, err)
	}
	master.Close()
	if _, err := worker.Receive(); !errors.Is(err, io.EOF) {
		t.Errorf("the master's end: %v, want EOF", err)
	}
}

func TestInheritNothing(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	rc, _ := f.SyscallConn()
	var fd int
	_ = rc.Control(func(s uintptr) { fd, _ = unix.Dup(int(s)) })
	if _, err := Inherit(fd); err == nil {
		t.Error("a file is taken for a master's socket")
	}
}
