package forward

import (
	"context"
	"net/http"
	"strconv"
)

// What answers tell clients.
const (
	WorkerHeader = "X-Samedoor-Worker" // slot of the worker that answered
	ViaHeader    = "X-Samedoor-Via"    // slot of the worker that forwarded; of requests, too
)

// What only workers may send.
const (
	clientHeader = "X-Samedoor-Client" // host:port of the true client
	secretHeader = "X-Samedoor-Secret" // lets a forwarding worker in
)

// Clean drops from a client's request the headers by which it would imitate a
// worker.
func Clean(h http.Header) {
	h.Del(ViaHeader)
	h.Del(clientHeader)
	h.Del(secretHeader)
}

type viaKey struct{}

// mark notes that a request was forwarded, for Via and in its answer.
func mark(via int, rw http.ResponseWriter, r *http.Request) *http.Request {
	rw.Header().Set(ViaHeader, strconv.Itoa(via))
	return r.WithContext(context.WithValue(r.Context(), viaKey{}, via))
}

// Via returns the slot of the worker that forwarded a request, from its context.
func Via(ctx context.Context) (slot int, ok bool) {
	slot, ok = ctx.Value(viaKey{}).(int)
	return slot, ok
}
