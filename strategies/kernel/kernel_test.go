package kernel_test

import (
	"testing"

	"github.com/samedoor/samedoor/strategies/kernel"
	"github.com/samedoor/samedoor/strategies/strategytest"
)

func TestConformance(t *testing.T) {
	strategytest.Run(t, kernel.Info, strategytest.Want{Sticky: true, Exact: true})
}
