package socketio

import "context"

// Handle adds a handler of an event whose first argument is a T. An event with
// something else is dropped; OnError is told.
func Handle[T any](s *Socket, event string, f func(T)) (off func()) {
	return s.On(event, func(e *Event) {
		var in T
		if err := e.Bind(&in); err != nil {
			s.fail(err)
			return
		}
		f(in)
	})
}

// HandleAck is Handle for events that are acknowledged with an Out. An error is
// acknowledged as {"error":"…"}, so is an argument that is no In.
func HandleAck[In, Out any](s *Socket, event string, f func(In) (Out, error)) (off func()) {
	return s.On(event, func(e *Event) {
		var in In
		err := e.Bind(&in)
		if err != nil {
			s.fail(err)
		} else {
			var out Out
			if out, err = f(in); err == nil {
				_ = e.Ack(out)
				return
			}
		}
		_ = e.Ack(map[string]string{"error": err.Error()})
	})
}

// Call emits an event and returns the first argument of the acknowledgement.
func Call[Out any](ctx context.Context, s *Socket, event string, args ...any) (Out, error) {
	var out Out
	a, err := s.EmitWithAck(ctx, event, args...)
	if err == nil {
		err = a.Bind(&out)
	}
	return out, err
}
