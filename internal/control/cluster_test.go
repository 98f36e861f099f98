package control

import (
	"slices"
	"testing"
)

func TestLive(t *testing.T) {
	var c Cluster
	for i, state := range []string{Starting, Ready, Waiting, GivenUp, Draining, Leaving, Joining} {
		c.Workers = append(c.Workers, Worker{Slot: i, State: state})
	}
	if got := c.Live(); !slices.Equal(got, []int{0, 1, 2, 4}) {
		t.Errorf("live: %v", got)
	}
	if got := c.Serving(); !slices.Equal(got, []int{1}) {
		t.Errorf("serving: %v", got)
	}
	c.Workers[1].State = Draining
	if got := c.Serving(); !slices.Equal(got, c.Live()) {
		t.Errorf("with none ready: %v", got)
	}
}
