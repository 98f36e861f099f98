package clients

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/samedoor/samedoor/internal/clustertest"
)

// packets are what no client of good will sends. As bodies of POSTs and as
// frames of WebSockets they end their own session at worst.
var packets = slices.Concat([]string{
	"", "x", "9", "4", "42", "42[", "42]", "42{}", "42[]", "42[1]", "42[null]", `42"x"`, `42["x"`, `42[["x"]]`, `42[{"x":1}]`,
	"43", "43[]", "430[]", "4399999999999999999999[]", `4299999999999999999999["x"]`, `42-1["echo"]`, `42/ws,["b:message"]`, `42/nowhere,["x"]`, "42/", "42/,",
	"44", `44{"message":"x"}`, "41", "41/nowhere,", "40{", "40[", "40/", "40,", "40/ws", "45", "46", "47", "49", "4\x00",
	"45-[]", `451-["x",{"_placeholder":true,"num":0}]`, `451-["x",{"_placeholder":true,"num":-1}]`, `451-["x",{"_placeholder":true,"num":99}]`,
	`451-["x",{"_placeholder":true,"num":"0"}]`, `452-["x",{"_placeholder":true,"num":0}]`, `459999999999-["x"]`, `45-1-["x"]`, `450-["x"]`, `461-1[{"_placeholder":true,"num":0}]`,
	`51-["x",{"_placeholder":true,"num":0}]`, "5", "6", "2", "2probe", "3", "3probe", "0", "0{}", "1", "b", "bAAAA", "b!!!!", "b" + base64.StdEncoding.EncodeToString([]byte("\x04\x00")),
	"\x1e", "\x1e\x1e\x1e", "40\x1e42\x1e42[\x1e", "\xff\xfe\xfd", "42[\"\xff\xfe\"]", "42[\"echo\",\"\xed\xa0\x80\"]", `42["echo","\ud800"]`, "42[\"a\x00b\"]",
	`42["connect"]`, `42["disconnect"]`, `42["connect_error"]`, `42["disconnecting"]`, `42["error"]`, `42["newListener"]`, `42["removeListener"]`, `42["__proto__"]`, `42["constructor"]`,
	"42" + strings.Repeat("[", 100_000), `42["echo",` + strings.Repeat(`[`, 20_000) + strings.Repeat(`]`, 20_000) + "]", `42["echo",` + strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000) + "]",
	`421["echo"` + strings.Repeat(",1", 10_000) + "]", `421["chat",[` + strings.Repeat("1,", 10_000) + "1]]",
	`42["` + strings.Repeat("x", 100_000) + `"]`, `42["echo",` + strings.Repeat("9", 100_000) + "]", `42["echo",1e999999]`,
	strings.Repeat("42\x1e", 5_000), strings.Repeat("40/nowhere,\x1e", 1_000),
}, wrongArgs())

// wrongArgs are events with arguments of the wrong types, with and without an
// acknowledgement.
func wrongArgs() (all []string) {
	values := []string{"", ",null", ",1", ",true", `,"x"`, ",[]", ",{}", ",[[]]", `,{"id":1,"text":2}`, `,{"id":"a"}`, `,{"id":"","text":""}`, `,{"id":"a","text":" "}`,
		`,{"id":{},"text":[]}`, `,{"id":"a","text":"b"},1`, `,{"on":"x"}`, `,{"on":1}`, `,{"on":true},{"on":false}`, `,{"id":"` + strings.Repeat("i", 65) + `","text":"x"}`,
		`,{"id":"a","text":"` + strings.Repeat("t", 2001) + `"}`, `,{"__proto__":{"id":"a"}}`, ",1,2,3,4,5,6,7,8,9"}
	for _, event := range []string{"chat", "typing", "echo", "b:message", "nothing"} {
		for i, v := range values {
			all = append(all, fmt.Sprintf(`42["%s"%s]`, event, v), fmt.Sprintf(`42%d["%s"%s]`, i, event, v))
		}
	}
	return all
}

// auths are what a client may say of itself that makes no sense.
var auths = []string{"", "[]", `"x"`, "1", "null", "true", "{}", `{"name":1,"room":[],"client":{},"offset":5}`, `{"name":"","room":"","client":"","offset":""}`,
	`{"name":"\u0000\u202e","offset":"zzz"}`, `{"offset":"99999999999999999999-99999999999999999999"}`, `{"offset":"-1--1"}`, `{"room":{"a":1}}`,
	`{"name":"` + strings.Repeat("n", 10_000) + `","room":"` + strings.Repeat("r", 10_000) + `","client":"` + strings.Repeat("c", 10_000) + `"}`, `{"auth":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + "}"}

// sids are made up.
var sids = []string{"x", "0.x", "1.forged", "2.AAAAAAAAAAAAAAAAAAAA", "3.", ".", "..", "0..", "99.x", "65536.x", "-1.x", "0-evil.x", "../../etc/passwd", "0./../../x", "..%2f..%2fx",
	"unix:/tmp/x.y", "127.0.0.1:1.x", "0\x00.x", "0 .x", "0\r\nX: y.x", "💡.💡", "0." + strings.Repeat("x", 5_000), strings.Repeat("9", 200) + ".x", strings.Repeat("a.", 2_000)}

// An enemy sends what it likes from an address of its own.
type enemy struct {
	t    testing.TB
	addr string
	c    *clustertest.Cluster
	h    *http.Client
}

// request tells the status, 0 if the connection ended instead. What a client
// does wrong is no fault of the server's: 5xx is for methods that Engine.IO
// does not know alone, as in the reference.
func (e *enemy) request(method, query, contentType string, body io.Reader) int {
	e.t.Helper()
	r, err := http.NewRequest(method, e.c.URL+"/socket.io/?"+query, body)
	if err != nil {
		e.t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	resp, err := e.h.Do(r)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	if resp.StatusCode >= 500 && (method == "GET" || method == "POST") {
		e.t.Errorf("%s ?%.100s is answered %s", method, query, resp.Status)
	}
	return resp.StatusCode
}

// session opens one by polling and joins the namespace /.
func (e *enemy) session() (query string) {
	e.t.Helper()
	sid, _, err := open(e.addr, e.c.URL, false)
	if err != nil {
		e.t.Fatalf("open a session: %v", err)
	}
	query = "EIO=4&transport=polling&sid=" + url.QueryEscape(sid)
	if got := e.request("POST", query, "text/plain", strings.NewReader("40")); got != 200 {
		e.t.Errorf("joining is answered %d", got)
	}
	return query
}

// socket opens a WebSocket session and joins the namespace / with auth.
func (e *enemy) socket(auth string) *websocket.Conn {
	e.t.Helper()
	d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(e.addr)}}
	ws, _, err := (&websocket.Dialer{NetDialContext: d.DialContext, HandshakeTimeout: 5 * time.Second}).
		Dial("ws://"+e.c.Addr+"/socket.io/?EIO=4&transport=websocket", nil)
	if err != nil {
		e.t.Fatalf("open a WebSocket: %v", err)
	}
	e.say(ws, "40"+auth)
	return ws
}

func (e *enemy) say(ws *websocket.Conn, packet string) {
	_ = ws.SetWriteDeadline(time.Now().Add(2 * time.Second))
	_ = ws.WriteMessage(websocket.TextMessage, []byte(packet)) // it may have ended, which is an answer too
}

// hear reads packets until one begins so, for at most 3 s.
func (e *enemy) hear(ws *websocket.Conn, prefix string) bool {
	_ = ws.SetReadDeadline(time.Now().Add(3 * time.Second))
	for {
		_, b, err := ws.ReadMessage()
		if err != nil {
			return false
		}
		if strings.HasPrefix(string(b), prefix) {
			return true
		}
	}
}

// TestMalformed: whatever one client sends, no worker ends and no other
// client notices.
func TestMalformed(t *testing.T) {
	c := clustertest.Start(t, "--strategy", "master")
	before := workers(c)
	p := lively(t, config{URL: c.URL, Clients: 5, Addresses: 5, Room: "healthy"})
	p.do("echo", "every", 100)

	homes := map[string]string{} // an address of each slot
	for i := 0; i < 40 && len(homes) < 4; i++ {
		_, slot, err := open(addr(i), c.URL, false)
		if err != nil {
			t.Fatal(err)
		}
		homes[slot] = addr(i)
	}
	slow := loris(t, c, homes["0"])
	var wg sync.WaitGroup
	for _, home := range homes {
		wg.Go(func() {
			e := &enemy{t, home, c, from(home)}
			e.requests()
			e.bodies()
			e.frames()
			e.handshakes()
		})
	}
	wg.Wait()
	slow()

	if after := workers(c); !slices.Equal(before, after) {
		t.Errorf("workers were %v and are %v", before, after)
	}
	for _, w := range c.Status().Workers {
		if w.Restarts != 0 || w.State != "ready" {
			t.Errorf("slot %d: %d restarts, %s", w.Slot, w.Restarts, w.State)
		}
	}
	if strings.Contains(strings.ToLower(c.Log()), "panic") {
		t.Error("the log tells of a panic")
	}
	worst, echoes := 0, 0
	for _, r := range p.reports() {
		if len(r.Disconnects) > 0 || r.Echoes.Answered < r.Echoes.Sent-1 || r.Echoes.Wrong > 0 || r.Echoes.Answered == 0 {
			t.Errorf("a healthy client noticed: disconnects %v, echoes %+v", r.Disconnects, r.Echoes)
		}
		worst, echoes = max(worst, r.Echoes.Worst), echoes+r.Echoes.Answered
	}
	if _, _, err := open(homes["2"], c.URL, false); err != nil {
		t.Error(err)
	}
	t.Logf("%d packets as bodies and as frames, %d auths and %d sids on each of 4 workers; 5 healthy clients: %d echoes answered, the slowest after %d ms",
		len(packets), len(auths), len(sids), echoes, worst)
}

// requests are those that HTTP or Engine.IO refuse.
func (e *enemy) requests() {
	for _, q := range []string{"", "EIO=3&transport=polling", "EIO=5&transport=polling", "EIO=4x&transport=polling", "EIO=&transport=polling", "transport=polling",
		"EIO=4", "EIO=4&transport=", "EIO=4&transport=flashsocket", "EIO=4&transport=websocket", "EIO=4&transport=webtransport", "EIO=4&transport=polling&transport=websocket", "EIO=4&EIO=3&transport=%zz"} {
		if got := e.request("GET", q, "", nil); got != 400 && !strings.HasPrefix(q, "EIO=4&transport=polling&") {
			e.t.Errorf("GET ?%s is answered %d", q, got)
		}
	}
	for _, method := range []string{"PUT", "DELETE", "PATCH", "TRACE", "FOO", "HEAD"} {
		e.request(method, "EIO=4&transport=polling", "", nil)
		e.request(method, e.session(), "", nil)
	}
	for _, sid := range sids {
		for _, transport := range []string{"polling", "websocket"} {
			q := "EIO=4&transport=" + transport + "&sid=" + url.QueryEscape(sid)
			for _, method := range []string{"GET", "POST"} {
				if got := e.request(method, q, "text/plain", nil); got != 400 {
					e.t.Errorf("%s with sid %.60q by %s is answered %d", method, sid, transport, got)
				}
			}
		}
	}
	for _, kind := range []string{"application/octet-stream", "Application/Octet-Stream; charset=x", "application/octet-stream;;;", "multipart/form-data", "application/json", "x"} {
		got := e.request("POST", e.session(), kind, bytes.NewReader([]byte{0, 1, 255, 4, 52, 0, 0xff}))
		if strings.Contains(strings.ToLower(kind), "octet-stream") && got != 400 {
			e.t.Errorf("POST of %q is answered %d", kind, got)
		}
	}
	big := bytes.Repeat([]byte("4"), 2<<20)
	if got := e.request("POST", e.session(), "text/plain", bytes.NewReader(big)); got != 413 && got != 400 && got != 0 {
		e.t.Errorf("a body of 2 MB is answered %d", got)
	}
	q := e.session()
	if got := e.request("POST", q, "text/plain", struct{ io.Reader }{bytes.NewReader(big)}); got == 200 { // of a length that is not told
		e.t.Error("a chunked body of 2 MB is taken")
	}
}

// bodies sends each packet as the body of a POST.
func (e *enemy) bodies() {
	q := e.session()
	for _, packet := range packets {
		got := e.request("POST", q, "text/plain;charset=UTF-8", strings.NewReader(packet))
		if got != 200 && got != 400 {
			e.t.Errorf("POST of %.60q is answered %d", packet, got)
		}
		if got != 200 || packet == "1" || strings.HasPrefix(packet, "41") { // it has ended the session
			q = e.session()
		}
	}
	// Two polls at once, which ends the session in Engine.IO.
	q = e.session()
	var polls sync.WaitGroup
	for range 5 {
		polls.Go(func() { e.request("GET", q, "", nil) })
	}
	polls.Wait()
}

// frames sends each packet as a text and as a binary frame.
func (e *enemy) frames() {
	for _, kind := range []int{websocket.TextMessage, websocket.BinaryMessage} {
		ws := e.socket("")
		for i, packet := range packets {
			_ = ws.SetWriteDeadline(time.Now().Add(2 * time.Second))
			if err := ws.WriteMessage(kind, []byte(packet)); err != nil || i%10 == 9 {
				ws.Close() // the next ones would meet a closed session
				ws = e.socket("")
			}
		}
		ws.Close()
	}

	// Attachments that belong to nothing, and those that never come.
	ws := e.socket("")
	e.say(ws, `451-["echo",{"_placeholder":true,"num":0}]`)
	e.say(ws, `42["echo",1]`)
	_ = ws.WriteMessage(websocket.BinaryMessage, []byte{1, 2, 3})
	ws.Close()
	ws = e.socket("")
	e.say(ws, `455-0["echo",{"_placeholder":true,"num":3}]`)
	for range 5 {
		_ = ws.WriteMessage(websocket.BinaryMessage, bytes.Repeat([]byte{255}, 1000))
	}
	ws.Close()

	// A frame beyond what the handshake told, and no frames at all.
	ws = e.socket("")
	_ = ws.WriteMessage(websocket.TextMessage, bytes.Repeat([]byte("4"), 2<<20))
	if e.hear(ws, "43") {
		e.t.Error("a frame of 2 MB is taken")
	}
	ws.Close()
	ws = e.socket("")
	_, _ = ws.NetConn().Write(bytes.Repeat([]byte{0xff, 0x00, 0x81}, 1000))
	ws.Close()
	ws = e.socket("")
	for range 500 {
		_ = ws.WriteControl(websocket.PingMessage, bytes.Repeat([]byte("p"), 125), time.Now().Add(time.Second))
	}
	ws.Close()

	// A message that makes no sense is answered so.
	ws = e.socket("")
	if !e.hear(ws, "40{") {
		e.t.Error("joining is not answered")
	}
	for i, args := range []string{"", ",1", ",{}", `,{"id":1,"text":2}`, `,{"id":"a","text":""}`} {
		e.say(ws, fmt.Sprintf(`42%d["chat"%s]`, i, args))
		if !e.hear(ws, fmt.Sprintf(`43%d[{"ok":false,"error":"`, i)) {
			e.t.Errorf("chat%s is not refused", args)
		}
	}
	ws.Close()
}

// handshakes joins in senseless ways.
func (e *enemy) handshakes() {
	for _, auth := range auths {
		ws := e.socket(auth)
		e.hear(ws, "4") // 40 or 44, or the end
		ws.Close()
	}
	ws := e.socket("")
	e.say(ws, "40/nowhere,")
	if !e.hear(ws, `44/nowhere,{"message":"Invalid namespace"`) {
		e.t.Error("an unknown namespace is not refused")
	}
	for i := range 1000 {
		e.say(ws, fmt.Sprintf("40/nowhere%d,", i))
	}
	if !e.hear(ws, "44/nowhere999,") {
		e.t.Error("the last of 1000 unknown namespaces is not refused")
	}
	e.say(ws, "40/ws,")
	if !e.hear(ws, `40/ws,{"sid"`) {
		e.t.Error("a client that asked for unknown namespaces can't join a known one")
	}
	for range 500 {
		e.say(ws, "40")
		e.say(ws, "40/ws,")
	}
	ws.Close()
}

// loris opens connections that send next to nothing. The function it returns
// checks that those without a header were ended in time.
func loris(t *testing.T, c *clustertest.Cluster, addr string) (check func()) {
	t.Helper()
	d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}}
	began := time.Now()
	sid, _, err := open(addr, c.URL, false)
	if err != nil {
		t.Fatal(err)
	}
	dial := func(first string) net.Conn {
		conn, err := d.Dial("tcp", c.Addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := io.WriteString(conn, first); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	var headers, bodies []net.Conn
	for range 50 {
		headers = append(headers, dial("GET /page HTTP/1.1\r\nHost: x\r\nX-Slow: "))
		bodies = append(bodies, dial("POST /socket.io/?EIO=4&transport=polling&sid="+sid+" HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n4"))
	}
	ended := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-ended:
				return
			case <-time.After(500 * time.Millisecond):
			}
			for _, conn := range slices.Concat(headers, bodies) {
				_, _ = io.WriteString(conn, "x")
			}
		}
	})
	return func() {
		t.Helper()
		defer wg.Wait()
		defer close(ended)
		gone := func(conns []net.Conn, by time.Time) (n int) {
			if soon := time.Now().Add(time.Second); by.Before(soon) { // what has ended can't be read past its deadline
				by = soon
			}
			for _, conn := range conns {
				_ = conn.SetReadDeadline(by)
				if _, err := io.Copy(io.Discard, conn); err == nil || !err.(net.Error).Timeout() {
					n++
				}
			}
			return n
		}
		if n := gone(headers, began.Add(13*time.Second)); n != len(headers) {
			t.Errorf("%d of %d connections that never end their header are still open after %v", len(headers)-n, len(headers), time.Since(began))
		}
		if soak { // a body may take half a minute
			if n := gone(bodies, began.Add(35*time.Second)); n != len(bodies) {
				t.Errorf("%d of %d connections that never end their body are still open after %v", len(bodies)-n, len(bodies), time.Since(began))
			}
		}
	}
}
