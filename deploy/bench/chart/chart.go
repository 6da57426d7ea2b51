// Package chart draws the two plots that a comparison needs, as SVG: bars with
// their interval, and curves over a logarithmic axis. The text stays text, so that
// figures can be found and read aloud; colours hold in light and dark surroundings.
package chart

import (
	"encoding/xml"
	"fmt"
	"math"
	"slices"
	"strings"
)

// palette is Okabe and Ito's, told apart with every kind of colour blindness.
var palette = []string{"#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#999999"}

// canvas collects SVG elements.
type canvas struct {
	strings.Builder
	width, height float64
}

func newCanvas(width, height float64, title string) *canvas {
	c := &canvas{width: width, height: height}
	c.printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" width="%g" height="%g" font-family="system-ui, sans-serif" font-size="12" role="img">`+"\n", width, height, width, height)
	c.printf("<title>%s</title>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n", escape(title))
	c.text(16, 24, "start", title, `font-size="15" font-weight="600"`)
	return c
}

// printf appends; a Builder takes everything.
func (c *canvas) printf(format string, args ...any) { _, _ = fmt.Fprintf(c, format, args...) }

func (c *canvas) String() string { return c.Builder.String() + "</svg>\n" }

func (c *canvas) text(x, y float64, anchor, text, more string) {
	c.printf(`<text x="%.1f" y="%.1f" text-anchor="%s" fill="#222222" %s>%s</text>`+"\n", x, y, anchor, more, escape(text))
}

func (c *canvas) line(x1, y1, x2, y2 float64, colour string, width float64) {
	c.printf(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="%g"/>`+"\n", x1, y1, x2, y2, colour, width)
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes everything
	return b.String()
}

// Bar is one value with its interval.
type Bar struct {
	Label            string
	Value, Low, High float64
}

// Group is bars that share a scale.
type Group struct {
	Label string
	Bars  []Bar
}

// Bars draws groups of horizontal bars one below another, each group with a scale
// of its own from 0, so that a fast payload does not flatten a slow one.
func Bars(title, unit string, groups []Group) string {
	const left, right, row, head = 130.0, 110.0, 22.0, 34.0
	height := 44.0
	for _, g := range groups {
		height += head + row*float64(len(g.Bars))
	}
	c := newCanvas(760, height+12, title)
	var names []string
	y := 44.0
	for _, g := range groups {
		c.text(16, y+18, "start", g.Label+", "+unit, `font-weight="600"`)
		y += head
		highest := 0.0
		for _, b := range g.Bars {
			highest = max(highest, b.Value, b.High)
		}
		for _, b := range g.Bars {
			i := slices.Index(names, b.Label)
			if i < 0 {
				i, names = len(names), append(names, b.Label)
			}
			scale := (c.width - left - right) / highest
			c.text(left-8, y+12, "end", b.Label, "")
			c.printf(`<rect x="%.1f" y="%.1f" width="%.1f" height="14" fill="%s"/>`+"\n", left, y, b.Value*scale, palette[i%len(palette)])
			if b.High > b.Low {
				c.line(left+b.Low*scale, y+7, left+b.High*scale, y+7, "#222222", 1.5)
				c.line(left+b.Low*scale, y+3, left+b.Low*scale, y+11, "#222222", 1.5)
				c.line(left+b.High*scale, y+3, left+b.High*scale, y+11, "#222222", 1.5)
			}
			c.text(left+max(b.Value, b.High)*scale+8, y+12, "start", Number(b.Value), "")
			y += row
		}
	}
	return c.String()
}

// Curve is a line through points in order of x.
type Curve struct {
	Label string
	X, Y  []float64
}

// Curves draws lines over a linear x and a logarithmic y axis.
func Curves(title, xUnit, yUnit string, curves []Curve) string {
	c := newCanvas(760, 420, title)
	const left, right, top, bottom = 70.0, 150.0, 50.0, 60.0
	xMax, yMin, yMax := 0.0, math.Inf(1), 0.0
	for _, v := range curves {
		for i := range v.X {
			xMax, yMin, yMax = max(xMax, v.X[i]), min(yMin, v.Y[i]), max(yMax, v.Y[i])
		}
	}
	if xMax == 0 || yMin <= 0 {
		return c.String()
	}
	low, high := math.Floor(math.Log10(yMin)), math.Ceil(math.Log10(yMax))
	if high == low {
		high++
	}
	px := func(x float64) float64 { return left + x/(xMax*1.05)*(c.width-left-right) }
	py := func(y float64) float64 {
		return c.height - bottom - (math.Log10(y)-low)/(high-low)*(c.height-top-bottom)
	}
	for e := low; e <= high; e++ {
		y := py(math.Pow(10, e))
		c.line(left, y, c.width-right, y, "#dddddd", 1)
		c.text(left-8, y+4, "end", Number(math.Pow(10, e)), "")
	}
	step := nice(xMax / 5)
	for x := 0.0; x <= xMax*1.05; x += step {
		c.line(px(x), top, px(x), c.height-bottom, "#eeeeee", 1)
		c.text(px(x), c.height-bottom+18, "middle", Number(x), "")
	}
	c.text((left+c.width-right)/2, c.height-16, "middle", xUnit, "")
	c.text(left-8, top-10, "end", yUnit, "")
	for i, v := range curves {
		colour := palette[i%len(palette)]
		var points []string
		for j := range v.X {
			points = append(points, fmt.Sprintf("%.1f,%.1f", px(v.X[j]), py(v.Y[j])))
			c.printf(`<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`+"\n", px(v.X[j]), py(v.Y[j]), colour)
		}
		c.printf(`<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), colour)
		y := top + 10 + 20*float64(i)
		c.line(c.width-right+14, y-4, c.width-right+34, y-4, colour, 3)
		c.text(c.width-right+40, y, "start", v.Label, "")
	}
	return c.String()
}

// nice rounds a step up to 1, 2 or 5 times a power of ten.
func nice(x float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(x)))
	for _, m := range []float64{1, 2, 5} {
		if x <= m*p {
			return m * p
		}
	}
	return 10 * p
}

// Number is a figure in three digits at least, thousands apart.
func Number(x float64) string {
	switch a := math.Abs(x); {
	case math.IsNaN(x):
		return "-"
	case a >= 1000:
		digits := fmt.Sprintf("%.0f", x)
		for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
			digits = digits[:i] + "," + digits[i:]
		}
		return digits
	case a >= 100 || a == math.Trunc(a):
		return fmt.Sprintf("%.0f", x)
	case a >= 10:
		return fmt.Sprintf("%.1f", x)
	default:
		return fmt.Sprintf("%.2f", x)
	}
}
