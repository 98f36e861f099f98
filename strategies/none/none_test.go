package none_test

import (
	"testing"

	"github.com/samedoor/samedoor/strategies/none"
	"github.com/samedoor/samedoor/strategies/strategytest"
)

func TestConformance(t *testing.T) { strategytest.Run(t, none.Info, strategytest.Want{}) }
