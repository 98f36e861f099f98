// Package web is what a worker serves over HTTP: the page, its files, what the
// cluster is like, and Socket.IO under /socket.io/.
package web

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/samedoor/samedoor/internal/trace"
	"github.com/samedoor/samedoor/strategies"
)

// lanes is how many workers the page draws at most, as street.js has it.
const lanes = 8

// A Site is one worker's, told by functions what only the worker knows.
type Site struct {
	Strategy   strategies.Info
	Slot       int // of this worker
	WorkerPort int // port that slot 0 is named by
	Workers    func() int
	Page       func(*http.Request) strategies.Page
	Cluster    func(context.Context) any                                        // body of /cluster
	Trace      func(ctx context.Context, sid string, since int64) []trace.Entry // of all workers, oldest first
	Draining   func() bool
	Share      func(http.Header, *http.Request) // lets pages of the origins that may connect read an answer
	DemoToken  func(*http.Request) string       // what lets the page asked for give orders; empty: nothing does
	Demo       http.Handler                     // POST /demo/kill and /demo/restart; nil: there are none
	SocketIO   http.Handler
	Log        *slog.Logger
}

// Handler returns the router.
func (s *Site) Handler() http.Handler {
	r := newRouter(s.Log)
	r.Any("/socket.io/*any", gin.WrapH(s.SocketIO))

	hardened := harden(s.policy)
	pages := r.Group("/", hardened)
	get := func(path string, h gin.HandlerFunc) { pages.GET(path, h); pages.HEAD(path, h) }
	get("/", func(c *gin.Context) { c.Redirect(http.StatusFound, "/page") })
	show := show("page.html", "main.js", s.Log)
	get("/page", func(c *gin.Context) { show(c, s.page(c.Request)) })
	get("/static/*file", assets().serve())
	get("/healthz", func(c *gin.Context) { c.String(http.StatusOK, "ok") })
	get("/readyz", s.ready)
	share := func(h gin.HandlerFunc) gin.HandlerFunc {
		return func(c *gin.Context) { s.Share(c.Writer.Header(), c.Request); h(c) }
	}
	get("/cluster", share(func(c *gin.Context) { c.JSON(http.StatusOK, s.Cluster(c.Request.Context())) }))
	get("/route", share(s.route))
	get("/trace", share(s.trace))
	if s.Demo != nil {
		pages.Any("/demo/:order", gin.WrapH(s.Demo))
	}
	r.NoRoute(hardened, func(c *gin.Context) { c.String(http.StatusNotFound, "nothing here: the page is at /page\n") })
	return r
}

// policy allows this origin alone, and the workers' own addresses where the
// page is told to connect to one of them.
func (s *Site) policy(r *http.Request) string {
	connect := "'self'"
	if u, err := url.Parse(s.Page(r).URL); err == nil && u.Host != "" {
		for slot := range s.Workers() {
			connect += source(u.Scheme, u.Hostname(), s.WorkerPort+slot)
		}
	}
	return contentPolicy(connect)
}

// page is what page.html is told.
func (s *Site) page(r *http.Request) map[string]any {
	p := s.Page(r)
	return map[string]any{
		"Lanes":    make([]struct{}, min(s.Workers(), lanes)),
		"Strategy": s.Strategy.Name, "Doc": s.Strategy.Doc, "Tradeoffs": s.Strategy.Tradeoffs,
		"Workers": s.Workers(), "WorkerPort": s.WorkerPort,
		"URL": p.URL, "Slot": p.Slot, "Answered": s.Slot,
		"DemoToken": s.DemoToken(r),
	}
}

func (s *Site) ready(c *gin.Context) {
	if s.Draining() {
		c.String(http.StatusServiceUnavailable, "draining")
		return
	}
	c.String(http.StatusOK, "ok")
}

// trace tells what the workers saw of a session; who knows its sid may ask.
func (s *Site) trace(c *gin.Context) {
	sid := c.Query("sid")
	if sid == "" {
		c.JSON(http.StatusBadRequest, gin.H{"error": "name a session: /trace?sid=… with the Engine.IO sid (socket.io.engine.id)"})
		return
	}
	since := int64(0)
	if v, given := c.GetQuery("since"); given {
		var err error
		if since, err = strconv.ParseInt(v, 10, 64); err != nil {
			c.JSON(http.StatusBadRequest, gin.H{"error": "since is a time in milliseconds since 1970, as in the entries' \"at\""})
			return
		}
	}
	c.JSON(http.StatusOK, s.Trace(c.Request.Context(), sid, since))
}

// route answers a page that was rendered in the browser: where to connect.
func (s *Site) route(c *gin.Context) {
	p := s.Page(c.Request)
	if p.URL == "" {
		c.JSON(http.StatusNotFound, gin.H{"error": "strategy " + s.Strategy.Name + " has no routes: connect to this origin"})
		return
	}
	c.JSON(http.StatusOK, gin.H{"url": p.URL, "slot": p.Slot})
}
