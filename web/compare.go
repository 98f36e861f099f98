package web

import (
	"crypto/subtle"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
)

// Compare is the page of `samedoor compare`, which runs a handshake through
// several clusters. Functions tell it what only the comparison knows.
type Compare struct {
	Workers, Clients int
	Hosts            []string // Host headers it may be asked for by; others are refused
	Token            string   // lets the page start and stop runs
	State            func() CompareState
	Ports            func() []int // of the clusters, that the page connects to
	Start            func() error // begins a run of many clients, or returns ErrRunning
	Stop             func()       // ends it
	Results          func() CompareResults
	Log              *slog.Logger
}

// ErrRunning says that a run is under way: there is one at a time.
var ErrRunning = errors.New("a run is under way: wait for it, or stop it")

// What a compared strategy's cluster may be.
const (
	CompareStarting    = "starting"
	CompareReady       = "ready"
	CompareUnavailable = "unavailable" // it lacks what it needs here
	CompareRestarting  = "restarting"  // it died, and is being started again
	CompareGone        = "gone"        // it could not start, or died too often
)

// CompareState is the body of /compare/state.
type CompareState struct {
	Strategies []CompareStrategy `json:"strategies"`
	Run        CompareRun        `json:"run"`
	Results    any               `json:"results"` // of the last run, as in /compare/results.json; null before
}

// CompareStrategy is one strategy's cluster.
type CompareStrategy struct {
	Name     string `json:"name"`
	Doc      string `json:"doc"`
	Control  bool   `json:"control"` // fails by design
	State    string `json:"state"`
	Reason   string `json:"reason"`   // why it is not ready, or empty
	Port     int    `json:"port"`     // public; 0 until one is chosen. The workers' own ports follow it
	Routed   bool   `json:"routed"`   // clients ask its /route where to connect
	Restarts int    `json:"restarts"` // of the whole cluster
}

// CompareRun is the run of many clients under way, if there is one.
type CompareRun struct {
	Running  bool   `json:"running"`
	Strategy string `json:"strategy"` // whose turn it is
	Done     int    `json:"done"`     // clients, of all strategies
	Total    int    `json:"total"`
}

// CompareResults are those of a run.
type CompareResults interface {
	JSON() ([]byte, error)
	SVG() []byte
}

// Handler returns the router.
func (s *Compare) Handler() http.Handler {
	r := newRouter(s.Log)
	r.Use(harden(s.policy), s.known)
	get := func(path string, h gin.HandlerFunc) { r.GET(path, h); r.HEAD(path, h) }
	get("/", func(c *gin.Context) { c.Redirect(http.StatusFound, "/compare") })
	show := show("compare.html", "compare/main.js", s.Log)
	get("/compare", func(c *gin.Context) { show(c, s.page()) })
	get("/compare/state", func(c *gin.Context) { c.JSON(http.StatusOK, s.State()) })
	get("/compare/results.json", s.results(func(r CompareResults) (string, []byte, error) {
		b, err := r.JSON()
		return "application/json; charset=utf-8", b, err
	}))
	get("/compare/results.svg", s.results(func(r CompareResults) (string, []byte, error) { return "image/svg+xml", r.SVG(), nil }))
	r.POST("/compare/run", s.ours, s.start)
	r.POST("/compare/stop", s.ours, func(c *gin.Context) { s.Stop(); c.JSON(http.StatusAccepted, gin.H{"ok": true}) })
	get("/static/*file", assets().serve())
	get("/healthz", func(c *gin.Context) { c.String(http.StatusOK, "ok") })
	r.NoRoute(func(c *gin.Context) { c.String(http.StatusNotFound, "nothing here: the page is at /compare\n") })
	return r
}

// policy lets the page connect to the clusters, at the host it was asked for by.
func (s *Compare) policy(r *http.Request) string {
	connect := "'self'"
	if !s.knows(r.Host) {
		return contentPolicy(connect) // it may hold anything
	}
	for _, p := range s.Ports() {
		connect += source("http", hostname(r.Host), p)
	}
	return contentPolicy(connect)
}

func (s *Compare) knows(host string) bool {
	return slices.ContainsFunc(s.Hosts, func(h string) bool { return strings.EqualFold(h, host) })
}

// hostname takes the port and the brackets off.
func hostname(hostport string) string {
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		return h
	}
	return strings.Trim(hostport, "[]")
}

// known refuses names that somebody else made point here (DNS rebinding).
func (s *Compare) known(c *gin.Context) {
	if !s.knows(c.Request.Host) {
		c.String(http.StatusMisdirectedRequest, "this page is not known by that name: open http://%s/compare\n", s.Hosts[0])
		c.Abort()
	}
}

// ours lets orders of the page itself through: another site's page has another
// Origin, and no page but ours the token.
func (s *Compare) ours(c *gin.Context) {
	var why string
	switch {
	case !strings.EqualFold(c.GetHeader("Origin"), "http://"+c.Request.Host):
		why = "this is for the buttons of /compare: its Origin is not yours"
	case subtle.ConstantTimeCompare([]byte(c.GetHeader("X-Samedoor-Token")), []byte(s.Token)) != 1:
		why = "X-Samedoor-Token is not what the page was served with: reload it"
	default:
		return
	}
	c.AbortWithStatusJSON(http.StatusForbidden, gin.H{"ok": false, "error": why})
}

// page is what compare.html is told.
func (s *Compare) page() map[string]any {
	return map[string]any{
		"Workers": s.Workers, "Clients": s.Clients, "Token": s.Token, "Strategies": s.State().Strategies,
		"Tall": 20*min(s.Workers, 8) + 16, // of a drawing (static/compare/lane.js), whose place is kept
	}
}

func (s *Compare) start(c *gin.Context) {
	if err := s.Start(); err != nil {
		c.JSON(http.StatusConflict, gin.H{"ok": false, "error": err.Error()})
		return
	}
	c.JSON(http.StatusAccepted, gin.H{"ok": true})
}

func (s *Compare) results(as func(CompareResults) (kind string, body []byte, err error)) gin.HandlerFunc {
	return func(c *gin.Context) {
		r := s.Results()
		if r == nil {
			c.JSON(http.StatusNotFound, gin.H{"error": "there are no results yet: run the clients on /compare"})
			return
		}
		kind, body, err := as(r)
		if err != nil {
			s.Log.Error("the results could not be written", "error", err)
			c.String(http.StatusInternalServerError, "the results could not be written\n")
			return
		}
		c.Header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox") // the picture brings its style
		c.Data(http.StatusOK, kind, body)
	}
}
