package engine_test

import (
	"net/http"

	"github.com/samedoor/samedoor/socketio/engine"
)

type shout struct{ s *engine.Session }

func (h shout) Message(data []byte, binary bool) {
	_ = h.s.Send(engine.Text(string(data) + "!"))
}

func (h shout) Closed(reason string, err error) {}

// Engine.IO without Socket.IO: messages on a session.
func ExampleNew() {
	e := engine.New(engine.Options{}, func(s *engine.Session) engine.Handler { return shout{s} })
	http.Handle("/engine.io/", e)
}
