package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/gin-gonic/gin"
)

//go:embed page.html
var pageSource string

//go:embed static
var static embed.FS

// The Socket.IO client comes from npm: if this does not build, run `make assets`.
//
//go:embed node_modules/socket.io-client/dist/socket.io.esm.min.js
var client []byte

var page = template.Must(template.New("page").Parse(pageSource))

// An asset is kept as it is sent: plain, compressed, and with its version.
type asset struct {
	kind, etag  string
	plain, gzip []byte // gzip is nil where it would not help
}

// assets returns all files under /static by their path below it.
func assets() map[string]asset {
	all := map[string]asset{"socket.io.esm.min.js": newAsset("socket.io.esm.min.js", client)}
	err := fs.WalkDir(static, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := static.ReadFile(name)
		all[strings.TrimPrefix(name, "static/")] = newAsset(name, b)
		return err
	})
	if err != nil {
		panic(err) // embedded: it can't
	}
	return all
}

func newAsset(name string, b []byte) asset {
	sum := sha256.Sum256(b)
	a := asset{kind: mime.TypeByExtension(path.Ext(name)), etag: `"` + hex.EncodeToString(sum[:8]) + `"`, plain: b}
	if path.Ext(name) == ".js" { // the machine's own table may say otherwise
		a.kind = "text/javascript; charset=utf-8"
	}
	var z bytes.Buffer
	w, _ := gzip.NewWriterLevel(&z, gzip.BestCompression)
	_, _ = w.Write(b) // to memory
	_ = w.Close()
	if z.Len() < len(b)*9/10 {
		a.gzip = z.Bytes()
	}
	return a
}

func serveAssets() gin.HandlerFunc {
	all := assets()
	return func(c *gin.Context) {
		a, ok := all[strings.TrimPrefix(c.Param("file"), "/")]
		if !ok {
			c.String(http.StatusNotFound, "no such file\n")
			return
		}
		h := c.Writer.Header()
		h.Set("ETag", a.etag)
		h.Set("Cache-Control", "no-cache") // may be kept, is asked for again: a new binary shows at once
		h.Set("Vary", "Accept-Encoding")
		if c.GetHeader("If-None-Match") == a.etag {
			c.Status(http.StatusNotModified)
			return
		}
		body := a.plain
		if a.gzip != nil && strings.Contains(c.GetHeader("Accept-Encoding"), "gzip") {
			h.Set("Content-Encoding", "gzip")
			body = a.gzip
		}
		c.Data(http.StatusOK, a.kind, body)
	}
}
