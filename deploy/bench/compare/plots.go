package main

import (
	"bytes"
	"math"
	"slices"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
	"github.com/sluice-ml/sluice/deploy/bench/stats"
	"github.com/sluice-ml/sluice/internal/plot"
)

// plots are the SVGs by name; those without figures are left out.
func (b *bench) plots(date string) (map[string][]byte, error) {
	plots := map[string][]byte{}
	draw := func(name string, write func(*bytes.Buffer) error) error {
		var svg bytes.Buffer
		err := write(&svg)
		plots[name] = svg.Bytes()
		return err
	}
	for _, p := range []struct {
		name, title, unit string
		figure            func(*leg) float64
	}{
		{"throughput", "Drain of a backlog", "messages a second, more is better", rate},
		{"cpu", "CPU seconds per million messages", "of the contender's own processes, less is better", cpu},
	} {
		if groups := b.bars(p.figure); len(groups) > 0 {
			note := p.unit + "; medians with 95 % intervals, " + b.machine + ", " + date
			if err := draw(p.name, func(w *bytes.Buffer) error { return plot.WriteBars(w, p.title, note, groups...) }); err != nil {
				return nil, err
			}
		}
	}
	if curves := b.curves(); len(curves) > 0 {
		chart := plot.Chart{
			Title: "p99 over load", Note: "from the scheduled instant of an open loop to receipt; rings were not sustained; " + b.machine + ", " + date,
			X: plot.Axis{Label: "messages a second, " + b.latencyPayload}, Y: plot.Axis{Label: "p99", Log: true, Format: plot.Seconds}, Series: curves,
		}
		if err := draw("latency", func(w *bytes.Buffer) error { return plot.WriteSVG(w, chart) }); err != nil {
			return nil, err
		}
	}
	return plots, nil
}

func (b *bench) bars(figure func(*leg) float64) (groups []plot.Group) {
	for _, p := range lab.Payloads {
		g := plot.Group{Name: p.Name}
		for _, name := range b.store.contenders("drain", p.Name) {
			e := stats.Bootstrap(present(b.store.series(key{"drain", p.Name, name, "", 0}, figure)))
			if !math.IsNaN(e.Median) {
				g.Bars = append(g.Bars, plot.Bar{Name: name, Value: e.Median, Low: e.Low, High: e.High, Text: number(e.Median)})
			}
		}
		if len(g.Bars) > 0 {
			groups = append(groups, g)
		}
	}
	return groups
}

func (b *bench) curves() (curves []plot.Series) {
	for i, name := range b.store.contenders("latency", b.latencyPayload) {
		s := plot.Series{Name: name, Color: i}
		for _, k := range b.latencyKeys() {
			if k.Contender != name || k.Payload != b.latencyPayload {
				continue
			}
			if y := b.store.median(k, p99); y > 0 {
				s.Points = append(s.Points, plot.Point{
					X: b.store.median(k, func(g *leg) float64 { return g.Latency.Rate }), Y: y / 1000,
					Hollow: b.store.held(k) < b.store.rounds(k), Text: k.Variant + ": " + number(y) + " ms",
				})
			}
		}
		slices.SortFunc(s.Points, func(a, b plot.Point) int { return int(a.X - b.X) })
		if len(s.Points) > 0 {
			curves = append(curves, s)
		}
	}
	return curves
}
