package plot

import (
	"fmt"
	"html"
	"io"
	"slices"
	"strings"
)

// Chart is lines over two axes.
type Chart struct {
	Title string
	// Note stands below the title in small letters.
	Note   string
	X, Y   Axis
	Series []Series
	Marks  []Mark
}

// Series is one line, labelled at its end.
type Series struct {
	Name string
	// Color counts the palette; equal numbers, equal colours.
	Color  int
	Dashed bool
	Points []Point
}

// Point is one place of a line.
type Point struct {
	X, Y float64
	// Hollow is drawn as a ring.
	Hollow bool
	// Bare is drawn without a dot.
	Bare bool
	// Text is shown when the mouse rests on it.
	Text string
}

// Mark is a vertical line with a word.
type Mark struct {
	X    float64
	Text string
}

// The picture's measures, in pixels.
const (
	width, height = 900, 460
	left, right   = 84, 130
	above, below  = 74, 62
	lineHeight    = 15
)

// palette is Okabe and Ito's, which the colour-blind can tell apart.
var palette = []string{"#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#444444"}

// WriteSVG draws the charts, one below the other, as one picture.
func WriteSVG(w io.Writer, charts ...Chart) error {
	_, err := io.WriteString(w, svg(charts))
	return err
}

func svg(charts []Chart) string {
	var b strings.Builder
	total := height * len(charts)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" font-family="system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif" font-size="12">`+"\n", width, total, width, total)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, total)
	for i := range charts {
		fmt.Fprintf(&b, `<g transform="translate(0 %d)">`+"\n", i*height)
		charts[i].draw(&b)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (c *Chart) draw(b *strings.Builder) {
	var xs, ys []float64
	for _, s := range c.Series {
		for _, p := range s.Points {
			if drawable(c.X, p.X) && drawable(c.Y, p.Y) {
				xs, ys = append(xs, p.X), append(ys, p.Y)
			}
		}
	}
	x := newScale(c.X, xs, left, width-right)
	y := newScale(c.Y, ys, height-below, above)
	c.frame(b, &x, &y)
	for _, m := range c.Marks {
		at := x.at(m.X)
		fmt.Fprintf(b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#777" stroke-dasharray="2 3"/>`, at, above-4, at, height-below)
		text(b, at, above-9, "middle", "#555", m.Text)
	}
	for _, s := range c.Series {
		s.draw(b, c, &x, &y)
	}
	c.labels(b, &y)
}

// frame draws title, axes, grid and ticks.
func (c *Chart) frame(b *strings.Builder, x, y *scale) {
	fmt.Fprintf(b, `<text x="%d" y="26" font-size="16" font-weight="600" fill="#222">%s</text>`+"\n", left, html.EscapeString(c.Title))
	fmt.Fprintf(b, `<text x="%d" y="45" fill="#666">%s</text>`+"\n", left, html.EscapeString(c.Note))
	for _, v := range y.ticks {
		at := y.at(v)
		fmt.Fprintf(b, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#e4e4e4"/>`, left, at, width-right, at)
		text(b, left-8, at+4, "end", "#444", y.format(v))
	}
	for _, v := range x.ticks {
		at := x.at(v)
		fmt.Fprintf(b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#e4e4e4"/>`, at, above, at, height-below)
		text(b, at, height-below+18, "middle", "#444", x.format(v))
	}
	fmt.Fprintf(b, `<path d="M%d %dV%dH%d" fill="none" stroke="#888"/>`+"\n", left, above, height-below, width-right)
	text(b, float64(left+width-right)/2, height-below+42, "middle", "#222", c.X.Label)
	fmt.Fprintf(b, `<text transform="translate(20 %d) rotate(-90)" text-anchor="middle" fill="#222">%s</text>`+"\n", (above+height-below)/2, html.EscapeString(c.Y.Label))
}

func text(b *strings.Builder, x, y float64, anchor, color, s string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s">%s</text>`+"\n", x, y, anchor, color, html.EscapeString(s))
}

func (s *Series) color() string { return palette[s.Color%len(palette)] }

func (s *Series) draw(b *strings.Builder, c *Chart, x, y *scale) {
	var line, dots strings.Builder
	for _, p := range s.Points {
		if !drawable(c.X, p.X) || !drawable(c.Y, p.Y) {
			continue
		}
		px, py := x.at(p.X), y.at(p.Y)
		fmt.Fprintf(&line, "%.1f,%.1f ", px, py)
		if p.Bare {
			continue
		}
		fill := s.color()
		if p.Hollow {
			fill = "#fff"
		}
		fmt.Fprintf(&dots, `<circle cx="%.1f" cy="%.1f" r="4" fill="%s" stroke="%s" stroke-width="1.8"><title>%s</title></circle>`+"\n",
			px, py, fill, s.color(), html.EscapeString(p.Text))
	}
	dashes := ""
	if s.Dashed {
		dashes = ` stroke-dasharray="6 4"`
	}
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="1.8" stroke-linejoin="round"%s/>`+"\n", strings.TrimSpace(line.String()), s.color(), dashes)
	b.WriteString(dots.String())
}

// labels writes each line's name at its end, moved apart where they would
// overlap.
func (c *Chart) labels(b *strings.Builder, y *scale) {
	type label struct {
		at          float64
		color, name string
	}
	var all []label
	for _, s := range c.Series {
		for _, p := range slices.Backward(s.Points) {
			if drawable(c.X, p.X) && drawable(c.Y, p.Y) {
				all = append(all, label{y.at(p.Y), s.color(), s.Name})
				break
			}
		}
	}
	slices.SortStableFunc(all, func(a, b label) int { return int(a.at*10) - int(b.at*10) })
	for i := 1; i < len(all); i++ {
		all[i].at = max(all[i].at, all[i-1].at+lineHeight)
	}
	limit := float64(height - below + 4)
	for i := len(all) - 1; i >= 0; i-- { // and back up, where that went below the axis
		all[i].at = min(all[i].at, limit)
		limit = all[i].at - lineHeight
	}
	for _, l := range all {
		text(b, width-right+10, l.at+4, "start", l.color, l.name)
	}
}
