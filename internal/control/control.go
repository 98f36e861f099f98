// Package control is what master and worker say to each other over the socket
// that a worker inherits: one JSON object a line. Its end is also how a worker
// learns that the master is gone.
package control

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// FDVariable names the environment variable that tells a worker which
// descriptor the control socket is; the slot's sockets follow it.
const FDVariable = "SAMEDOOR_CONTROL_FD"

// Environ is what a child process gets of the environment: the flags reach it
// otherwise, so samedoor's own variables stay here, secrets among them.
func Environ() (env []string) {
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "SAMEDOOR_") {
			env = append(env, v)
		}
	}
	return env
}

// Message is either side's; one field is set.
type Message struct {
	Boot    *Boot         `json:"boot,omitempty"`    // master: the first message
	Cluster *Cluster      `json:"cluster,omitempty"` // master: first and whenever it changes
	Ready   bool          `json:"ready,omitempty"`   // worker: it serves
	Failed  string        `json:"failed,omitempty"`  // worker: why it can't; it exits
	TLS     *TLS          `json:"tls,omitempty"`     // master: another certificate, other ticket keys
	Order   *Order        `json:"order,omitempty"`   // worker: what a demo page asks of the master
	Drain   time.Duration `json:"drain,omitempty"`   // master: tell the clients to go elsewhere, for so long, then end

	// Worker: how many sessions it holds, after it has met new connections or
	// the number has changed; at most ten times a second.
	Sessions *int `json:"sessions,omitempty"`
}

// Order is a demo page's for the worker in a slot.
type Order struct {
	Do   string `json:"do"` // Kill or Restart
	Slot int    `json:"slot"`
}

// TLS is what it takes to speak it.
type TLS struct {
	Version   int      // grows with every change: an older message may arrive last
	Cert, Key []byte   // PEM
	Tickets   [][]byte // keys of session tickets, 32 bytes each, the newest first
}

// What may be ordered.
const (
	Kill    = "kill"    // SIGKILL, as if it had died
	Restart = "restart" // replace it, as a reload does
)

// Boot is all that a worker must know to serve its slot.
type Boot struct {
	Strategy   string
	Engine     string // Socket.IO server: native or zishang520
	Slot       int
	ID         string // of this worker, across masters and hosts
	Host       string // of this master: what IDs end with
	Addr       string // public address as --addr has it
	Public     string // the same, with its port
	WorkerPort int    // port that slot 0 is named by
	Sockets    int    // how many the worker inherits
	HTTPS      bool   // clients use TLS
	TLS        *TLS   // and this worker speaks it; nil if a front does

	Bus      string // URL
	Shared   bool   // other masters or hosts use this bus: sids name workers, not slots
	Dir      string // where this host's workers take forwarded requests, a socket each
	PeerAddr string // host:port where this worker takes them from other hosts, or empty
	Secret   string // lets other hosts' workers in there
	PeerFile bool   // the last of the inherited sockets is that one

	Strict       bool
	Hash         string
	NginxMethod  string
	FrontSecret  string
	DemoToken    string // lets pages order kills and restarts; empty: they can't
	Origins      []string
	TrustProxies []string
	Rate         float64
	LogFormat    string
}

// Cluster is what the master knows of its workers.
type Cluster struct {
	Version int      `json:"version"` // grows with every change: an older picture may arrive last
	Since   int64    `json:"since"`   // when the master started, milliseconds since 1970
	Workers []Worker `json:"workers"`
}

// Worker is the process in one slot.
type Worker struct {
	Slot     int    `json:"slot"`
	ID       string `json:"id"`
	PID      int    `json:"pid"` // of its process, or of the last one it had
	Port     int    `json:"port"`
	State    string `json:"state"` // see States
	Restarts int    `json:"restarts"`
}

// States of a slot.
const (
	Joining  = "joining"  // new, and its first process is not ready yet: not live
	Starting = "starting" // its process is not ready yet
	Ready    = "ready"
	Waiting  = "waiting"  // its process died; the next one starts after a delay
	GivenUp  = "given up" // its processes died too often; its clients go elsewhere: not live
	Draining = "draining" // its process was told to end, and has a successor
	Leaving  = "leaving"  // likewise, and has none: not live
)

// Live returns the slots that clients belong to: those that have, or wait for,
// a process.
func (c Cluster) Live() []int {
	return c.slots(func(state string) bool { return state != GivenUp && state != Joining && state != Leaving })
}

// Serving returns the slots whose worker is ready, or all live ones if none is.
func (c Cluster) Serving() []int {
	if ready := c.slots(func(state string) bool { return state == Ready }); len(ready) > 0 {
		return ready
	}
	return c.Live()
}

func (c Cluster) slots(in func(state string) bool) []int {
	found := make([]int, 0, len(c.Workers))
	for _, w := range c.Workers {
		if in(w.State) {
			found = append(found, w.Slot)
		}
	}
	return found
}

// A Conn is one end. Send may be called from several goroutines, Receive from one.
type Conn struct {
	c   net.Conn
	dec *json.Decoder
	mu  sync.Mutex
	enc *json.Encoder
}

func newConn(c net.Conn) *Conn {
	return &Conn{c: c, dec: json.NewDecoder(c), enc: json.NewEncoder(c)}
}

// Pair returns the master's end, and the file that the worker inherits.
func Pair() (*Conn, *os.File, error) {
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(p[0]), "control (master)"), os.NewFile(uintptr(p[1]), "control (worker)")
	defer ours.Close() // FileConn duplicates it
	c, err := net.FileConn(ours)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return newConn(c), theirs, nil
}

// Inherit returns the worker's end.
func Inherit(fd int) (*Conn, error) {
	f := os.NewFile(uintptr(fd), "control")
	if f == nil {
		return nil, fmt.Errorf("%s=%d is not a descriptor", FDVariable, fd)
	}
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("%s=%d was not inherited from a master: %w", FDVariable, fd, err)
	}
	return newConn(c), nil
}

// Send gives up on a peer that has not read for two seconds.
func (c *Conn) Send(m Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.c.SetWriteDeadline(time.Now().Add(2 * time.Second))
	return c.enc.Encode(m)
}

// Receive returns the next message, or io.EOF once the other process is gone.
func (c *Conn) Receive() (m Message, err error) {
	err = c.dec.Decode(&m)
	return m, err
}

// Close ends the conversation.
func (c *Conn) Close() error { return c.c.Close() }

// SameSecret tells whether a secret of Boot was shown, in a time that tells
// nothing of it. Nobody can show an empty one.
func SameSecret(shown, secret string) bool {
	return shown != "" && subtle.ConstantTimeCompare([]byte(shown), []byte(secret)) == 1
}
