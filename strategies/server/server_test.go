package server_test

import (
	"testing"

	"github.com/samedoor/samedoor/strategies/server"
	"github.com/samedoor/samedoor/strategies/strategytest"
)

func TestConformance(t *testing.T) {
	strategytest.Run(t, server.Info, strategytest.Want{Sticky: true, Exact: true, Hashed: true})
}
