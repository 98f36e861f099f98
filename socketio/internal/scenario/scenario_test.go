package scenario

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/samedoor/samedoor/socketio"
)

// TestOfficialClient runs client.mjs: the npm client against this server.
func TestOfficialClient(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed")
	}
	modules, err := filepath.Abs("../../../web/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(modules, "socket.io-client")); err != nil {
		t.Skip("the npm client is not installed: make assets")
	}
	io := newServer(t)
	srv := httptest.NewServer(io)
	defer srv.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, node, "client.mjs", srv.URL, modules).CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
	if err := io.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

// newServer does what client.mjs expects.
func newServer(t *testing.T) *socketio.Server {
	io := socketio.NewServer(socketio.Options{Logger: slog.New(slog.DiscardHandler)})
	io.OnConnection(func(s *socketio.Socket) { handlers(t, s) })
	io.Of("/ws").OnConnection(func(s *socketio.Socket) { handlers(t, s) })

	private := io.Of("/private")
	type auth struct{ Token string }
	private.Use(func(s *socketio.Socket) error {
		var a auth
		if err := s.Handshake().BindAuth(&a); err != nil || a.Token != "right" {
			return &socketio.Error{Message: "not authorized", Data: map[string]int{"code": 7}}
		}
		s.Set("token", a.Token)
		return nil
	})
	private.OnConnection(func(s *socketio.Socket) {
		s.On("who", func(e *socketio.Event) { _ = e.Ack(s.Get("token")) })
	})

	io.OfRegexp(regexp.MustCompile(`^/dynamic-\d+$`)).OnConnection(func(s *socketio.Socket) {
		s.On("name", func(e *socketio.Event) { _ = e.Ack(s.Namespace().Name()) })
	})

	polls := io.Of("/polls")
	polls.OnConnection(func(s *socketio.Socket) {
		s.On("poll", func(e *socketio.Event) {
			answers, err := polls.Timeout(time.Second).EmitWithAck(e.Context(), "vote")
			if err != nil {
				t.Error(err)
			}
			var votes []any
			for _, a := range answers {
				votes = append(votes, a.Any(0))
			}
			_ = e.Ack(votes)
		})
	})
	return io
}

func handlers(t *testing.T, s *socketio.Socket) {
	s.On("echo", func(e *socketio.Event) { _ = e.Ack(e.All()) })
	s.On("push", func(e *socketio.Event) { _ = s.Emit("pushed", e.Any(0)) })
	s.On("silent", func(*socketio.Event) {})
	s.On("panic", func(*socketio.Event) { panic("on purpose") })
	s.On("cut", func(*socketio.Event) { s.Session().Close() })
	s.On("volatile", func(*socketio.Event) { _ = s.Volatile().Emit("maybe") })
	s.On("struct", func(*socketio.Event) {
		_ = s.Emit("struct", struct {
			Name string `json:"name"`
			Data []byte `json:"data"`
		}{"n", []byte("bytes")})
	})
	s.On("ask", func(e *socketio.Event) {
		n, err := socketio.Call[int](e.Context(), s, "question", e.Any(0))
		if err != nil {
			t.Error(err)
		}
		_ = e.Ack(n)
	})
	s.On("ask-briefly", func(e *socketio.Event) {
		_, err := s.Timeout(100*time.Millisecond).EmitWithAck(e.Context(), "question", 1)
		if !errors.Is(err, socketio.ErrTimeout) {
			t.Error(err)
		}
		_ = e.Ack(err.Error())
	})
	socketio.Handle(s, "kick", func(closeConnection bool) { s.Disconnect(closeConnection) })
	room := func(e *socketio.Event) string { return e.Any(0).(string) }
	s.On("join", func(e *socketio.Event) { s.Join(room(e)); _ = e.Ack() })
	s.On("publish", func(e *socketio.Event) { _ = s.To(room(e)).Emit("news", e.Any(1)); _ = e.Ack() })
	s.On("publish-binary", func(e *socketio.Event) {
		_ = s.To(room(e)).Emit("news", "bytes", []byte(e.Any(1).(string)))
		_ = e.Ack()
	})
	s.On("publish-except", func(e *socketio.Event) {
		_ = s.Namespace().Except(room(e)).Emit("news", e.Any(1))
		_ = e.Ack()
	})
}
