package redis_test

import (
	"testing"

	"github.com/samedoor/samedoor/strategies/redis"
	"github.com/samedoor/samedoor/strategies/strategytest"
)

func TestConformance(t *testing.T) { strategytest.Run(t, redis.Info, strategytest.Want{Sticky: true}) }
