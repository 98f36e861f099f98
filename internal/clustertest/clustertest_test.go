package clustertest

import (
	"strings"
	"testing"
	"time"
)

func TestCluster(t *testing.T) {
	c := Start(t, "--workers", "2")
	s := c.Status()
	if len(s.Workers) != 2 || s.Workers[1].Port != c.Port+1 || s.Strategy != "master" {
		t.Errorf("status %+v", s)
	}
	if got := len(c.Group()); got != 3 {
		t.Errorf("%d processes, want a master and 2 workers: %v", got, c.Group())
	}
	c.Stop()
	if c.State() == nil || c.State().ExitCode() != 0 {
		t.Errorf("state %v", c.State())
	}
}

func TestLaunchOfWhatFails(t *testing.T) {
	c := Launch(t, "--strategy", "nonsense")
	select {
	case <-c.Ended():
	case <-time.After(10 * time.Second):
		t.Fatal("still running")
	}
	if c.State().ExitCode() != 2 || !strings.Contains(c.Log(), "unknown strategy") {
		t.Errorf("%v: %s", c.State(), c.Log())
	}
}
