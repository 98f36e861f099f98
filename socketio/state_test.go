package socketio_test

import (
	"encoding/json"
	"testing"

	"github.com/samedoor/samedoor/socketio"
	"github.com/samedoor/samedoor/socketio/engine"
)

func TestSnapshot(t *testing.T) {
	s := socketio.NewServer(socketio.Options{})
	ready := make(chan *socketio.Socket, 1)
	s.OnConnection(func(c *socketio.Socket) {
		c.Join("room")
		c.Set("name", "somebody")
		_ = c.Timeout(1e10).EmitFunc("question", func(socketio.Args, error) {})
		ready <- c
	})
	c := ws(t, start(t, s))
	so := <-ready
	hear(t, c, `421["question"]`)
	say(t, c, `452-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`)
	_ = c.WriteBinary([]byte("one"))
	var got socketio.State
	for got.Partial == nil || len(got.Partial.Attachments) == 0 {
		st, ok := s.Snapshot(so.Session().ID())
		if !ok {
			t.Fatal("no such session")
		}
		b, err := json.Marshal(st)
		if err != nil {
			t.Fatal(err)
		}
		got = socketio.State{}
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
	}
	one := got.Sockets[0]
	if got.Session.Transport != engine.WebSocket || one.ID != so.ID() || one.Rooms[1] != "room" ||
		one.Data["name"] != "somebody" || one.Acks[0] != 1 || got.Partial.Missing != 1 {
		t.Errorf("%+v", got)
	}
}

func TestQueueSurvivesJSON(t *testing.T) {
	for _, p := range []engine.Packet{engine.Text("hello"), engine.Binary([]byte{1, 2, 3})} {
		b, _ := json.Marshal([]engine.Packet{p})
		var got []engine.Packet
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		want, _ := p.Payload()
		if data, _ := got[0].Payload(); string(data) != string(want) || got[0].Len() != p.Len() {
			t.Errorf("%s became %q", b, data)
		}
	}
}
