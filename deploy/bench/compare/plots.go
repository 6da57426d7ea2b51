package main

import (
	"math"
	"slices"

	"github.com/sluice-ml/sluice/deploy/bench/chart"
	"github.com/sluice-ml/sluice/deploy/bench/lab"
	"github.com/sluice-ml/sluice/deploy/bench/stats"
)

// plots are the SVGs by name; those without figures are left out.
func (b *bench) plots(date string) map[string]string {
	plots := map[string]string{}
	for _, p := range []struct {
		name, title, unit string
		figure            func(*leg) float64
	}{
		{"throughput", "Drain of a backlog, " + date, "messages a second", rate},
		{"cpu", "CPU of the contender's own processes, " + date, "seconds per million messages", cpu},
	} {
		if groups := b.bars(p.figure); len(groups) > 0 {
			plots[p.name] = chart.Bars(p.title, p.unit, groups)
		}
	}
	if curves := b.curves(); len(curves) > 0 {
		plots["latency"] = chart.Curves("p99 from the scheduled instant, "+date, "messages a second, "+b.latencyPayload, "ms", curves)
	}
	return plots
}

func (b *bench) bars(figure func(*leg) float64) (groups []chart.Group) {
	for _, p := range lab.Payloads {
		g := chart.Group{Label: p.Name}
		for _, name := range b.store.contenders("drain", p.Name) {
			e := stats.Bootstrap(present(b.store.series(key{"drain", p.Name, name, "", 0}, figure)))
			if !math.IsNaN(e.Median) {
				g.Bars = append(g.Bars, chart.Bar{Label: name, Value: e.Median, Low: e.Low, High: e.High})
			}
		}
		if len(g.Bars) > 0 {
			groups = append(groups, g)
		}
	}
	return groups
}

func (b *bench) curves() (curves []chart.Curve) {
	type point struct{ x, y float64 }
	for _, name := range b.store.contenders("latency", b.latencyPayload) {
		var points []point
		for _, k := range b.latencyKeys() {
			if k.Contender == name && k.Payload == b.latencyPayload {
				if y := b.store.median(k, p99); y > 0 {
					points = append(points, point{b.store.median(k, func(g *leg) float64 { return g.Latency.Rate }), y})
				}
			}
		}
		slices.SortFunc(points, func(a, b point) int { return int(a.x - b.x) })
		c := chart.Curve{Label: name}
		for _, p := range points {
			c.X, c.Y = append(c.X, p.x), append(c.Y, p.y)
		}
		if len(points) > 0 {
			curves = append(curves, c)
		}
	}
	return curves
}
