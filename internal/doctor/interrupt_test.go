package doctor_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/samedoor/samedoor/internal/doctor"
	"github.com/samedoor/samedoor/internal/doctor/doctortest"
)

// TestInterruptHanging: a WebSocket handshake without an answer holds nobody.
func TestInterruptHanging(t *testing.T) {
	t.Parallel()
	hangs := make(chan struct{}, 99)
	addr := stub(t, func(w http.ResponseWriter, r *http.Request) {
		hangs <- struct{}{}
		select {
		case <-r.Context().Done():
		case <-time.After(30 * time.Second):
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cut := make(chan time.Time, 1)
	go func() {
		<-hangs
		time.Sleep(3 * time.Second) // the other checks are through
		cut <- time.Now()
		cancel()
	}()
	r, err := doctor.Run(ctx, doctor.Options{URL: addr, Quick: true, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(<-cut); took > 2*time.Second || r.Find("websocket").Title != "interrupted" {
		t.Errorf("%v after the signal\n%s", took, text(t, r))
	}
}

// TestInterrupt: the report comes soon, has every check, and blames nobody.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	addr := doctortest.Node(t, doctortest.NodeConfig{Kind: "single"})
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	start := time.Now()
	r, err := doctor.Run(ctx, doctor.Options{URL: addr})
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 9*time.Second {
		t.Errorf("took %v", took)
	}
	for _, f := range r.Findings {
		if f.Title == "" || f.Status == doctor.Failure || f.Status == doctor.Warning {
			t.Errorf("%s is %s: %q", f.Check, f.Status, f.Title)
		}
	}
	if r.Exit != 1 || r.Find("idle").Status != doctor.Skipped {
		t.Errorf("%s\n%s", r.Verdict, text(t, r))
	}
}
