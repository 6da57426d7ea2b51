package plot

import (
	"fmt"
	"html"
	"io"
	"slices"
	"strings"
)

// Bar is one value with its interval, which is drawn where High is above Low.
type Bar struct {
	Name             string
	Value, Low, High float64
	Text             string // behind the bar
}

// Group is bars that share a scale from 0.
type Group struct {
	Name string
	Bars []Bar
}

// The measures of bars, in pixels.
const (
	barsTop, barsLeft, barsRight = 56, 130, 130
	barRow, barHeight, groupHead = 22, 14, 34
)

// WriteBars draws groups of horizontal bars, each group with a scale of its own,
// so that a fast one does not flatten a slow one. Equal names have equal colours.
func WriteBars(w io.Writer, title, note string, groups ...Group) error {
	total := barsTop
	for _, g := range groups {
		total += groupHead + barRow*len(g.Bars)
	}
	total += 14
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" font-family="system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif" font-size="12">`+"\n", width, total, width, total)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, total)
	fmt.Fprintf(&b, `<text x="16" y="26" font-size="16" font-weight="600" fill="#222">%s</text>`+"\n", html.EscapeString(title))
	fmt.Fprintf(&b, `<text x="16" y="45" fill="#666">%s</text>`+"\n", html.EscapeString(note))
	var names []string
	y := barsTop
	for _, g := range groups {
		fmt.Fprintf(&b, `<text x="16" y="%d" font-weight="600" fill="#222">%s</text>`+"\n", y+20, html.EscapeString(g.Name))
		y += groupHead
		scale := g.scale()
		for _, bar := range g.Bars {
			i := slices.Index(names, bar.Name)
			if i < 0 {
				i, names = len(names), append(names, bar.Name)
			}
			bar.draw(&b, float64(y), scale, palette[i%len(palette)])
			y += barRow
		}
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// scale is pixels per unit.
func (g *Group) scale() float64 {
	highest := 0.0
	for _, b := range g.Bars {
		highest = max(highest, b.Value, b.High)
	}
	if highest == 0 {
		return 0
	}
	return (width - barsLeft - barsRight) / highest
}

func (b *Bar) draw(w *strings.Builder, y, scale float64, color string) {
	text(w, barsLeft-8, y+12, "end", "#222", b.Name)
	fmt.Fprintf(w, `<rect x="%d" y="%.1f" width="%.1f" height="%d" fill="%s"/>`+"\n", barsLeft, y, b.Value*scale, barHeight, color)
	if b.High > b.Low {
		low, high := barsLeft+b.Low*scale, barsLeft+b.High*scale
		fmt.Fprintf(w, `<path d="M%.1f %.1fv8m0 -4H%.1fm0 -4v8" fill="none" stroke="#222" stroke-width="1.5"/>`+"\n", low, y+3, high)
	}
	text(w, barsLeft+max(b.Value, b.High)*scale+8, y+12, "start", "#222", b.Text)
}
