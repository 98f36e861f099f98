package nginx_test

import (
	"testing"

	"github.com/samedoor/samedoor/strategies/nginx"
	"github.com/samedoor/samedoor/strategies/strategytest"
)

func TestConformance(t *testing.T) {
	strategytest.Run(t, nginx.Info, strategytest.Want{Sticky: true, Exact: true, Hashed: true})
}

// TestStrangers: the other methods are no worse where connections are reused
// and addresses change.
func TestStrangers(t *testing.T) {
	for _, method := range []string{"hash", "sid"} {
		t.Run(method, func(t *testing.T) {
			strategytest.Strangers(t, nginx.Info, strategytest.Want{Sticky: true, Args: []string{"--nginx-method", method}})
		})
	}
}
