// Package plot draws line charts as SVG, alone or in an HTML page with a table,
// without scripts or anything to load. chart.go is the picture, axis.go scales
// and ticks, page.go the page.
package plot
