package doctor

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"strings"
)

var compression = &Check{
	Name: "compression",
	Doc:  "compressed answers and frames arrive whole",
	Run: func(ctx context.Context, e *exam, f *Finding) {
		d := e.door(e.from(0))
		defer d.shut()
		a := d.do(ctx, call{method: "GET", query: "transport=polling", header: http.Header{"Accept-Encoding": {"gzip"}}}, nil)
		body := a.Body
		if enc := a.Header.Get("Content-Encoding"); enc == "gzip" {
			r, err := gzip.NewReader(strings.NewReader(body))
			var b []byte
			if err == nil {
				b, err = io.ReadAll(io.LimitReader(r, maxBody))
			}
			if body = string(b); err != nil {
				f.saw(a)
				f.fail("a compressed answer can't be unpacked: %s", excerpt(err.Error()))
				f.because("", "It is compressed twice, or labelled as compressed and is not.")
				f.advise("Let either the proxy or the server compress, not both.")
				return
			}
		}
		if a.Err == errBudget {
			f.skip("%v", errBudget)
			return
		}
		h, _, err := parseOpen(body)
		if err != nil || a.Status != 200 {
			a.Body = body
			f.saw(a)
			f.fail("a client that takes gzip gets no handshake")
			f.because("", "A proxy that compresses spoils the answer.")
			f.advise("Exempt %s from compression.", e.path())
			return
		}
		e.adopt(d, a, h).close(ctx, to{door: d})

		conn, w := e.dial(ctx, nil, wsOptions{deflate: true})
		if conn == nil {
			f.ok("polling: %s; no WebSocket to try it on", encoding(a))
			return
		}
		defer hang(conn)
		ext := w.Header.Get("Sec-Websocket-Extensions")
		if m, err := e.read(ctx, conn, e.o.Timeout); err != nil || !strings.HasPrefix(m, "0{") || !talks(ctx, e, conn) {
			if ext == "" {
				f.ok("polling: %s; WebSocket: see websocket", encoding(a))
				return
			}
			f.saw(w)
			f.fail("compressed WebSocket frames do not arrive")
			f.tell("Sec-WebSocket-Extensions: %s", excerpt(ext))
			f.because("", "A proxy passes the agreement on permessage-deflate on, but not the frames as they are.")
			f.advise("Switch perMessageDeflate off on the server, or repair the proxy.")
			return
		}
		deflate := "not compressed"
		if strings.Contains(ext, "permessage-deflate") {
			deflate = "permessage-deflate"
		}
		f.ok("polling: %s, WebSocket: %s", encoding(a), deflate)
	},
}

func encoding(a *Answer) string {
	if enc := a.Header.Get("Content-Encoding"); enc != "" {
		return excerpt(enc)
	}
	return "not compressed"
}
