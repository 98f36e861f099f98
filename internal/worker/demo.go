package worker

import (
	"net/http"
	"net/netip"
	"path"
	"strconv"
	"strings"

	"github.com/samedoor/samedoor/internal/control"
	"github.com/samedoor/samedoor/internal/engines"
	"github.com/samedoor/samedoor/internal/origin"
)

// tokenHeader carries the token that a page was served with.
const tokenHeader = "X-Samedoor-Token"

// demoToken is what lets the page asked for by r order kills and restarts.
// Empty, so that it shows no buttons, where they would be refused.
func (w *Worker) demoToken(r *http.Request) string {
	if !w.demoHost(r.Host) {
		return ""
	}
	return w.boot.DemoToken
}

// demo serves POST /demo/kill?slot=I and /demo/restart?slot=I, for pages of our
// own alone: another site's page has another Origin, one that made its name
// point here (DNS rebinding) a Host that is not ours, and neither has the token.
// It answers 202 {"ok":true,"slot":I}, or {"ok":false,"error":…}.
func (w *Worker) demo() http.Handler {
	if w.boot.DemoToken == "" {
		return nil
	}
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		do := path.Base(r.URL.Path)
		slot, err := strconv.Atoi(r.URL.Query().Get("slot"))
		slots := w.snapshot().Workers
		refuse := func(status int, why string) {
			engines.DrainBody(r)
			writeStatus(rw, status, map[string]any{"ok": false, "error": why})
		}
		switch {
		case do != control.Kill && do != control.Restart:
			refuse(http.StatusNotFound, "unknown order "+strconv.Quote(do)+": POST /demo/kill or /demo/restart")
		case r.Method != http.MethodPost:
			rw.Header().Set("Allow", http.MethodPost)
			refuse(http.StatusMethodNotAllowed, "orders are POSTed")
		case !w.demoHost(r.Host):
			refuse(http.StatusForbidden, "Host "+strconv.Quote(r.Host)+" is not this cluster's: open the page by its address or as localhost")
		case !w.origins.Same(r):
			refuse(http.StatusForbidden, "Origin "+strconv.Quote(r.Header.Get("Origin"))+" is not this page's: use the buttons of /page")
		case !control.SameSecret(r.Header.Get(tokenHeader), w.boot.DemoToken):
			refuse(http.StatusForbidden, tokenHeader+" is not what the page was served with: reload the page")
		case err != nil || slot < 0 || slot >= len(slots):
			refuse(http.StatusBadRequest, "no such slot: choose 0 to "+strconv.Itoa(len(slots)-1))
		case slots[slot].State == control.GivenUp:
			refuse(http.StatusConflict, "slot "+strconv.Itoa(slot)+" was given up, no worker is in it: restart the cluster")
		default:
			w.obey(rw, r, control.Order{Do: do, Slot: slot})
		}
	})
}

// obey sends the order on. An order for this very worker is answered first: it
// may not live to do so afterwards.
func (w *Worker) obey(rw http.ResponseWriter, r *http.Request, o control.Order) {
	accepted := func() {
		engines.DrainBody(r)
		writeStatus(rw, http.StatusAccepted, map[string]any{"ok": true, "slot": o.Slot})
	}
	if o.Slot == w.boot.Slot {
		accepted()
		_ = http.NewResponseController(rw).Flush()
		_ = w.master(o)
		return
	}
	if err := w.master(o); err != nil {
		writeStatus(rw, http.StatusServiceUnavailable, map[string]any{"ok": false, "error": "the master does not listen: " + err.Error()})
		return
	}
	accepted()
}

// demoHost tells whether a Host header names this cluster: loopback, or what
// --addr says; any address, but no name, if that is a wildcard. A name that
// anybody may point here is none of them.
func (w *Worker) demoHost(hostport string) bool {
	host := origin.Host(hostport)
	if origin.IsLoopback(host) || strings.EqualFold(host, origin.Host(w.boot.Addr)) {
		return host != ""
	}
	public, err := netip.ParseAddrPort(w.boot.Public)
	_, notAddr := netip.ParseAddr(host)
	return err == nil && public.Addr().IsUnspecified() && notAddr == nil
}
