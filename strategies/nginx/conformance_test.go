package nginx_test

import (
	"os"
	"testing"

	"github.com/samedoor/samedoor/strategies/nginx"
	"github.com/samedoor/samedoor/strategies/strategytest"
)

func TestConformance(t *testing.T) {
	strategytest.Run(t, nginx.Info, strategytest.Want{Sticky: true, Exact: true, Hashed: true})
}

// TestMethods: the other two are no worse. All of the suite with SOAK=1.
func TestMethods(t *testing.T) {
	for _, method := range []string{"hash", "sid"} {
		t.Run(method, func(t *testing.T) {
			want := strategytest.Want{
				Sticky: true, Exact: true, Hashed: method == "hash",
				Brief: os.Getenv("SOAK") == "", Args: []string{"--nginx-method", method},
			}
			strategytest.Run(t, nginx.Info, want)
			if want.Brief {
				strategytest.Strangers(t, nginx.Info, want)
			}
		})
	}
}
