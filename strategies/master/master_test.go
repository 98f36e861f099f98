package master_test

import (
	"testing"

	"github.com/samedoor/samedoor/strategies/master"
	"github.com/samedoor/samedoor/strategies/strategytest"
)

func TestConformance(t *testing.T) {
	strategytest.Run(t, master.Info, strategytest.Want{Sticky: true, Exact: true, Hashed: true})
}

// TestLibrary keeps the other Socket.IO server selectable. It has no way to tell
// clients that poll of a shutdown.
func TestLibrary(t *testing.T) {
	strategytest.Run(t, master.Info, strategytest.Want{Sticky: true, Exact: true, Hashed: true, Abrupt: true, Args: []string{"--engine", "zishang520"}})
}
