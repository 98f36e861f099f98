package web

import (
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
)

// newRouter is what the sites of workers and of comparisons have in common.
func newRouter(log *slog.Logger) *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.HandleMethodNotAllowed = true
	_ = r.SetTrustedProxies(nil) // the worker has put the true client's address in place
	r.Use(gin.CustomRecoveryWithWriter(nil, func(c *gin.Context, v any) {
		log.Error("a request failed", "path", c.Request.URL.Path, "panic", v)
		c.AbortWithStatus(http.StatusInternalServerError)
	}))
	return r
}

// harden sets what every answer but Socket.IO's carries, and bounds how long a
// slow client may take to read it.
func harden(policy func(*http.Request) string) gin.HandlerFunc {
	return func(c *gin.Context) {
		h := c.Writer.Header()
		h.Set("Content-Security-Policy", policy(c.Request))
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		_ = http.NewResponseController(c.Writer).SetWriteDeadline(time.Now().Add(30 * time.Second))
	}
}

// contentPolicy allows a page what comes from its own origin, and to connect
// where connect says.
func contentPolicy(connect string) string {
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src " +
		connect + "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

// source lets a page connect to host:port, for contentPolicy. Policies know no
// IPv6 addresses: there it is any host, at this port.
func source(scheme, host string, port int) string {
	if strings.Contains(host, ":") {
		host = "*"
	}
	at := "://" + host + ":" + strconv.Itoa(port)
	return " " + scheme + at + " ws" + strings.TrimPrefix(scheme, "http") + at
}
