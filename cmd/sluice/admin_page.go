package main

import (
	_ "embed" // the page
	"fmt"
	"html/template"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

//go:embed status.html
var statusHTML string

// statusPage is plain HTML with inline style and drawings: no script, nothing
// fetched from elsewhere. The browser asks again every two seconds.
var statusPage = template.Must(template.New("status").Funcs(template.FuncMap{
	"count": groupDigits, "seconds": readableSeconds, "rate": readableRate, "percent": percent,
	"line": sparkline, "since": func(t time.Time) string { return time.Since(t).Round(time.Second).String() },
	"clock": func(t time.Time) string { return t.Local().Format("15:04:05") },
	"short": func(s string) string { return s[:min(len(s), 12)] },
	"color": stageColor, "shape": func(s []int64) string { return strings.NewReplacer("-1", "*", " ", ", ").Replace(fmt.Sprint(s)) },
	"mean": func(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) },
}).Parse(statusHTML))

func (a *admin) page(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	l := a.look(r.Context())
	l.Input = strings.Join(a.cfg.Input.Topics, ", ")
	if err := statusPage.Execute(w, l); err != nil {
		return // the reader has gone
	}
}

// groupDigits writes 1,234,567.
func groupDigits(n any) string {
	text := fmt.Sprint(n)
	sign := ""
	if strings.HasPrefix(text, "-") {
		sign, text = "-", text[1:]
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return sign + text
}

// readableSeconds has three digits and a unit.
func readableSeconds(s float64) string {
	switch {
	case s <= 0:
		return "0"
	case s < 0.001:
		return strconv.FormatFloat(s*1e6, 'f', 0, 64) + " µs"
	case s < 1:
		return strconv.FormatFloat(s*1e3, 'g', 3, 64) + " ms"
	case s < 120:
		return strconv.FormatFloat(s, 'g', 3, 64) + " s"
	default:
		return time.Duration(s * float64(time.Second)).Round(time.Second).String()
	}
}

func readableRate(r float64) string {
	if r > 0 && r < 10 {
		return strconv.FormatFloat(r, 'f', 1, 64)
	}
	return groupDigits(int64(math.Round(r)))
}

func percent(share float64) string { return strconv.FormatFloat(100*share, 'f', 1, 64) }

// sparkline is the points of a polyline in a box of 240 x 48, newest at right.
func sparkline(values []float64) string {
	top := 1.0
	for _, v := range values {
		top = max(top, v)
	}
	var b strings.Builder
	for i, v := range values {
		x := 240 - 2*float64(len(values)-1-i)
		fmt.Fprintf(&b, "%.0f,%.1f ", x, 46-44*v/top)
	}
	return b.String()
}

// stageColor tells the stages apart on light and dark ground.
func stageColor(name string) template.CSS {
	colors := map[string]template.CSS{
		"broker": "#7c8798", "decode": "#2f80ed", "queue": "#f2994a", "batch": "#e0b020",
		"infer": "#27ae60", "encode": "#56b6c2", "order": "#bb6bd9", "produce": "#eb5757",
	}
	return colors[name]
}
