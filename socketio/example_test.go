package socketio_test

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"github.com/samedoor/samedoor/socketio"
	"github.com/samedoor/samedoor/socketio/engine"
)

func Example() {
	io := socketio.NewServer(socketio.Options{})
	io.OnConnection(func(s *socketio.Socket) {
		s.Join("lobby")
		s.On("chat", func(e *socketio.Event) {
			_ = s.To("lobby").Emit("chat", e.All()...)
			_ = e.Ack("ok")
		})
		s.OnDisconnect(func(d socketio.Disconnection) { fmt.Println(s.ID(), d.Reason) })
	})
	http.Handle("/socket.io/", io)
	_ = http.ListenAndServe("127.0.0.1:3000", nil)
}

func ExampleHandleAck() {
	type order struct {
		Item  string
		Count int
	}
	type receipt struct {
		Total float64 `json:"total"`
	}
	io := socketio.NewServer(socketio.Options{})
	io.OnConnection(func(s *socketio.Socket) {
		socketio.HandleAck(s, "order", func(o order) (receipt, error) {
			if o.Count < 1 {
				return receipt{}, fmt.Errorf("count %d", o.Count)
			}
			return receipt{Total: 2.5 * float64(o.Count)}, nil
		})
	})
}

func ExampleCall() {
	io := socketio.NewServer(socketio.Options{})
	io.OnConnection(func(s *socketio.Socket) {
		s.On("start", func(e *socketio.Event) { // a handler may wait for its client
			ctx, cancel := context.WithTimeout(e.Context(), 5*time.Second)
			defer cancel()
			name, err := socketio.Call[string](ctx, s, "what is your name?")
			fmt.Println(name, err)
		})
	})
}

func ExampleNamespace_Use() {
	io := socketio.NewServer(socketio.Options{})
	io.Of("/admin").Use(func(s *socketio.Socket) error {
		var auth struct{ Token string }
		if err := s.Handshake().BindAuth(&auth); err != nil || auth.Token != "secret" {
			return &socketio.Error{Message: "not authorized", Data: map[string]string{"retry": "with a token"}}
		}
		s.Set("admin", true)
		return nil
	})
}

func ExampleServer_OfRegexp() {
	io := socketio.NewServer(socketio.Options{})
	tenants := io.OfRegexp(regexp.MustCompile(`^/tenant-\d+$`))
	tenants.OnConnection(func(s *socketio.Socket) {
		_ = s.Namespace().Emit("joined", s.ID()) // to this tenant's sockets
	})
	_ = tenants.Emit("news") // to all tenants'
}

func ExampleNamespace_EmitWithAck() {
	io := socketio.NewServer(socketio.Options{})
	answers, err := io.To("voters").Timeout(10*time.Second).EmitWithAck(context.Background(), "vote")
	for _, a := range answers { // even if err says that some are missing
		fmt.Println(a.Any(0))
	}
	fmt.Println(err)
}

// A slot in the session's id, so that anybody can tell which server holds it.
func ExampleOptions() {
	io := socketio.NewServer(socketio.Options{
		Engine: engine.Options{
			GenerateID:   func(*http.Request) string { return "2." + engine.NewID() },
			AllowRequest: func(r *http.Request) error { return nil },
			Headers:      func(h http.Header, _ *http.Request, _ string) { h.Set("X-Slot", "2") },
			ConnectionError: func(e *engine.ConnectionError) {
				fmt.Println(e.Code, e.Message, e.Context)
			},
			Trace: func(r *http.Request) func(engine.Outcome) {
				return func(o engine.Outcome) { fmt.Println(o.Step, o.Transport, o.SID, o.Status) }
			},
		},
	})
	fmt.Println(io.Engine().Has("2.unknown"), io.Engine().Len())
	// Output: false 0
}
