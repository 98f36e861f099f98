package worker

import (
	"fmt"

	"github.com/samedoor/samedoor/internal/control"
)

// enough sessions that their spread is no accident.
const enough = 20

// crowded says which worker holds more than twice its share of the sessions (or,
// of two workers, all of them): usually because its clients share an address.
func crowded(workers []workerStatus) string {
	live, total := 0, 0
	var most workerStatus
	for _, w := range workers {
		if w.State == control.GivenUp {
			continue
		}
		live++
		total += w.Sessions
		if w.Sessions > most.Sessions {
			most = w
		}
	}
	if live < 2 || total < enough || most.Sessions*live <= 2*total && most.Sessions < total {
		return ""
	}
	return fmt.Sprintf("worker %d holds %d of %d sessions: clients that share an address, a proxy's or a NAT's, share a worker; see --trust-proxies, or choose --strategy sid or redis", most.Slot, most.Sessions, total)
}
