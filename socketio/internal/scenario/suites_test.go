package scenario

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/samedoor/samedoor/socketio"
	"github.com/samedoor/samedoor/socketio/engine"
)

// TestOfficialSuites runs the black-box suites of socketio/engine.io-protocol
// and socketio/socket.io-protocol, which are not part of this repository:
// SUITES names the folder with both checkouts, their npm packages installed.
func TestOfficialSuites(t *testing.T) {
	dir := os.Getenv("SUITES")
	if dir == "" {
		t.Skip("SUITES is not set")
	}
	heart := engine.Options{PingInterval: 300 * time.Millisecond, PingTimeout: 200 * time.Millisecond}
	mux := http.NewServeMux()
	e := engine.New(heart, func(s *engine.Session) engine.Handler { return echo{s} })
	mux.Handle("/engine.io/", e)
	io := socketio.NewServer(socketio.Options{Engine: heart, ConnectTimeout: time.Second})
	mux.Handle("/socket.io/", io)
	for _, name := range []string{"/", "/custom"} {
		io.Of(name).OnConnection(func(s *socketio.Socket) {
			_ = s.Emit("auth", s.Handshake().Auth)
			s.On("message", func(e *socketio.Event) { _ = s.Emit("message-back", e.All()...) })
			s.On("message-with-ack", func(e *socketio.Event) { _ = e.Ack(e.All()...) })
		})
	}
	ln, err := net.Listen("tcp", "localhost:3000") // the suites' address
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: mux}
	go func() { _ = srv.Serve(ln) }()
	defer srv.Close()
	for _, suite := range []string{"engine.io-protocol", "socket.io-protocol"} {
		t.Run(suite, func(t *testing.T) {
			cmd := exec.Command("npx", "mocha", "test-suite.js")
			cmd.Dir = filepath.Join(dir, suite, "test-suite")
			out, err := cmd.CombinedOutput()
			t.Logf("%s", out)
			if err != nil {
				t.Error(err)
			}
		})
	}
}

type echo struct{ *engine.Session }

func (e echo) Message(data []byte, binary bool) {
	if binary {
		_ = e.Send(engine.Binary(data))
	} else {
		_ = e.Send(engine.Text(string(data)))
	}
}

func (echo) Closed(string, error) {}
