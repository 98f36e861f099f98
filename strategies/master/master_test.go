package master_test

import (
	"testing"

	"github.com/samedoor/samedoor/strategies/master"
	"github.com/samedoor/samedoor/strategies/strategytest"
)

func TestConformance(t *testing.T) {
	strategytest.Run(t, master.Info, strategytest.Want{Sticky: true, Exact: true, Hashed: true})
}

// TestLibrary keeps the other Socket.IO server selectable. (It has no way to tell
// clients that poll of a worker that leaves.)
func TestLibrary(t *testing.T) {
	strategytest.Run(t, master.Info, strategytest.Want{Sticky: true, Exact: true, Brief: true, Args: []string{"--engine", "zishang520"}})
}
