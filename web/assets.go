package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"maps"
	"mime"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"
)

//go:embed static
var static embed.FS

// The Socket.IO client comes from npm: if this does not build, run `make assets`.
//
//go:embed node_modules/socket.io-client/dist/socket.io.esm.min.js
var client []byte

// An asset is kept as it is sent: plain, compressed, and with its version.
type asset struct {
	kind, etag string
	plain      []byte
	gzip       func() []byte // made when it is first asked for; it returns nil where it would not help
}

// files are all under /static, by their path below it. They are read once for
// all sites of a process.
type files struct {
	asset map[string]asset
	base  string // path of this binary's: it changes when one of them does, so what is below it may be kept for ever
}

var assets = sync.OnceValue(func() files {
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
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		sum.Write([]byte(name + all[name].etag))
	}
	return files{all, "/static/v-" + hex.EncodeToString(sum.Sum(nil)[:6]) + "/"} // modules name one another relatively
})

func newAsset(name string, b []byte) asset {
	sum := sha256.Sum256(b)
	a := asset{kind: mime.TypeByExtension(path.Ext(name)), etag: `"` + hex.EncodeToString(sum[:8]) + `"`, plain: b}
	if path.Ext(name) == ".js" { // the machine's own table may say otherwise
		a.kind = "text/javascript; charset=utf-8"
	}
	a.gzip = sync.OnceValue(func() []byte {
		var z bytes.Buffer
		w, _ := gzip.NewWriterLevel(&z, gzip.BestCompression)
		_, _ = w.Write(b) // to memory
		_ = w.Close()
		if z.Len() < len(b)*9/10 {
			return z.Bytes()
		}
		return nil
	})
	return a
}

var imports = regexp.MustCompile(`(?m)^(?:import|export)\b[^;"]*"(\.\.?/[\w./-]+)"`)

// modules returns what a module imports, directly or not, without itself: the
// page names them, else a browser would find them one behind the other.
func (f files) modules(name string) []string {
	found := []string{name}
	for i := 0; i < len(found); i++ {
		if strings.HasSuffix(found[i], ".min.js") {
			continue // one file by design
		}
		for _, m := range imports.FindAllSubmatch(f.asset[found[i]].plain, -1) {
			if to := path.Join(path.Dir(found[i]), string(m[1])); !slices.Contains(found, to) {
				found = append(found, to)
			}
		}
	}
	return found[1:]
}

func (f files) serve() gin.HandlerFunc {
	ours := strings.TrimPrefix(f.base, "/static")
	return func(c *gin.Context) {
		file, kept := strings.CutPrefix(c.Param("file"), ours)
		if !kept {
			// While workers are replaced, the page of one version may ask a worker
			// of another: it answers with what it has, but not for ever.
			file = strings.TrimPrefix(file, "/")
			if version, rest, ok := strings.Cut(file, "/"); ok && strings.HasPrefix(version, "v-") {
				file = rest
			}
		}
		a, ok := f.asset[file]
		if !ok {
			c.String(http.StatusNotFound, "no such file\n")
			return
		}
		h := c.Writer.Header()
		h.Set("ETag", a.etag)
		h.Set("Cache-Control", "no-cache") // may be kept, is asked for again: a new binary shows at once
		if kept {
			h.Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		h.Set("Vary", "Accept-Encoding")
		if c.GetHeader("If-None-Match") == a.etag {
			c.Status(http.StatusNotModified)
			return
		}
		if strings.Contains(c.GetHeader("Accept-Encoding"), "gzip") {
			if z := a.gzip(); z != nil {
				h.Set("Content-Encoding", "gzip")
				c.Data(http.StatusOK, a.kind, z)
				return
			}
		}
		c.Data(http.StatusOK, a.kind, a.plain)
	}
}
