package web

import (
	"bytes"
	"embed"
	"html/template"
	"log/slog"
	"net/http"
	"sync"

	"github.com/gin-gonic/gin"
)

//go:embed page.html compare.html parts.html
var sources embed.FS

var templates = sync.OnceValue(func() *template.Template {
	return template.Must(template.ParseFS(sources, "*.html"))
})

// show returns what answers with a page, whose script is the module, for the
// data of one request.
func show(name, module string, log *slog.Logger) func(c *gin.Context, data map[string]any) {
	modules := assets().modules(module)
	return func(c *gin.Context, data map[string]any) {
		data["Base"], data["Modules"] = assets().base, modules
		var b bytes.Buffer
		if err := templates().ExecuteTemplate(&b, name, data); err != nil {
			log.Error("the page could not be rendered", "error", err)
			c.String(http.StatusInternalServerError, "the page could not be rendered\n")
			return
		}
		c.Data(http.StatusOK, "text/html; charset=utf-8", b.Bytes())
	}
}
