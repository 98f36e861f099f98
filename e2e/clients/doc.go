// Package clients proves the cluster with the official JavaScript client of
// npm: hundreds of them, from many source addresses, against the `samedoor
// serve` that users start, with a real nginx and a real Redis, while processes
// are killed, stopped and replaced. SOAK=1 makes everything longer.
package clients
