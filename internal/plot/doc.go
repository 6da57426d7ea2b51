// Package plot draws line charts and bars as SVG, alone or in an HTML page with a table,
// without scripts or anything to load. chart.go is the picture, bars.go the other, axis.go scales
// and ticks, page.go the page.
package plot
