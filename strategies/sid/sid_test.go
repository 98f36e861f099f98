package sid

import (
	"testing"

	"github.com/samedoor/samedoor/strategies/strategytest"
)

func Test(t *testing.T) {
	strategytest.Run(t, Info, strategytest.Want{Sticky: true, Exact: true})
}
