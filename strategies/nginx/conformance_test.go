package nginx_test

import (
	"testing"

	"github.com/samedoor/samedoor/strategies/nginx"
	"github.com/samedoor/samedoor/strategies/strategytest"
)

func TestConformance(t *testing.T) {
	strategytest.Run(t, nginx.Info, strategytest.Want{Sticky: true, Exact: true, Hashed: true})
}
