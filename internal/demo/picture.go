package demo

import (
	"fmt"
	"strings"
)

// canvas says how a terminal takes pictures.
type canvas struct {
	colors bool // 256 colours: two gray pixels a cell; without: one shaded pixel in two cells
	large  bool // with colours: a pixel takes two cells instead of half a cell
}

// shades are the pixels of a terminal without colours, dark to bright.
var shades = []rune(" ░▒▓█")

// width and height of a picture in cells.
func (c canvas) width() int {
	if c.colors && !c.large {
		return side
	}
	return 2 * side
}

func (c canvas) height() int {
	if c.colors && !c.large {
		return side / 2
	}
	return side
}

// draw gives the picture's lines, each width cells wide.
func (c canvas) draw(img *image) []string {
	lines := make([]string, c.height())
	for y := range lines {
		var b strings.Builder
		for x := range side {
			switch {
			case !c.colors:
				shade := shades[int(img.Pixels[y*side+x])*(len(shades)-1)/maxPixel]
				b.WriteString(strings.Repeat(string(shade), 2))
			case c.large:
				fmt.Fprintf(&b, "\x1b[48;5;%dm  ", gray(img.Pixels[y*side+x]))
			default:
				fmt.Fprintf(&b, "\x1b[38;5;%d;48;5;%dm▀", gray(img.Pixels[2*y*side+x]), gray(img.Pixels[(2*y+1)*side+x]))
			}
		}
		if c.colors {
			b.WriteString(reset)
		}
		lines[y] = b.String()
	}
	return lines
}

// gray is a pixel's colour in the 24 grays of the 256 colours.
func gray(pixel uint8) int { return 232 + int(pixel)*23/maxPixel }
