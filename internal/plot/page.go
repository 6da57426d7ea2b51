package plot

import (
	"html/template"
	"io"
)

// Page is charts with what they show in numbers.
type Page struct {
	Title string
	// Facts are pairs: what was run, how.
	Facts [][2]string
	// Head and Rows are a table.
	Head []string
	Rows [][]string
	// Notes stand below the table.
	Notes  []string
	Charts []Chart
}

var page = template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
<style>
body{font:15px/1.5 system-ui,"Segoe UI","DejaVu Sans",sans-serif;color:#222;max-width:920px;margin:2em auto;padding:0 1em}
h1{font-size:1.4em}svg{max-width:100%;height:auto}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.1em 1em}dt{color:#666}dd{margin:0}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.93em;margin:1em 0}
th,td{text-align:right;white-space:nowrap;padding:.25em .7em;border-bottom:1px solid #e4e4e4}th{color:#666;font-weight:500}
</style></head><body>
<h1>{{.Title}}</h1>
<dl>{{range .Facts}}<dt>{{index . 0}}</dt><dd>{{index . 1}}</dd>{{end}}</dl>
{{.Picture}}
<table><thead><tr>{{range .Head}}<th>{{.}}</th>{{end}}</tr></thead>
<tbody>{{range .Rows}}<tr>{{range .}}<td>{{.}}</td>{{end}}</tr>
{{end}}</tbody></table>
{{range .Notes}}<p>{{.}}</p>{{end}}
</body></html>
`))

// Picture is the charts as SVG; every text in it is escaped.
func (p Page) Picture() template.HTML {
	return template.HTML(svg(p.Charts)) //nolint:gosec // made here, escaped where it is made
}

// WriteHTML writes a page that stands for itself.
func WriteHTML(w io.Writer, p Page) error { return page.Execute(w, p) }
