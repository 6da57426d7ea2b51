package bench

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/sluice-ml/sluice/internal/load"
)

// unsustainedInARow ends a sweep: the rates after it would only fill the topic.
const unsustainedInARow = 2

// Sweep runs the rates one after the other and calls each with every point. It
// ends early, saying why, after two rates in a row that were not sustained, when
// what is outstanding does not drain, and when ctx ends. The points so far are
// returned with an error too.
func (b *Bench) Sweep(ctx context.Context, rates []float64, each func(*Point)) (points []*Point, why string, err error) {
	missed := 0
	for i, rate := range rates {
		p, err := b.Run(ctx, rate)
		if err != nil {
			return points, "", err
		}
		points = append(points, p)
		Knee(points)
		each(p)
		left := len(rates) - i - 1
		missed++
		if p.Sustained {
			missed = 0
		}
		switch {
		case p.Interrupted || left == 0:
			return points, "", nil
		case missed == unsustainedInARow:
			return points, fmt.Sprintf("%d rates in a row were not sustained; the %d above are left out", missed, left), nil
		case p.Lost > 0 && !p.Sustained:
			return points, fmt.Sprintf("%d records did not come back within %v; %d rates are left out, as the backlog would be theirs", p.Lost, b.cfg.Wait, left), nil
		}
	}
	return points, "", nil
}

// Knee marks the sustained point with the most throughput per p99 latency: from
// there on more load costs more latency than it brings throughput. (Kleinrock
// 1979, "Power and deterministic rules of thumb for probabilistic problems in
// computer communications".) It takes two whole points
// to compare; nil otherwise.
func Knee(points []*Point) *Point {
	var knee *Point
	most, compared := math.Inf(-1), 0
	for _, p := range points {
		p.Knee = false
		if !p.Sustained || p.Interrupted || p.Latency.P99 <= 0 {
			continue
		}
		compared++
		if power := p.Rate / p.Latency.P99; power > most {
			knee, most = p, power
		}
	}
	if compared < 2 {
		return nil
	}
	knee.Knee = true
	return knee
}

// Rates are steps rates from low to high, evenly spaced, whole where they may be.
func Rates(low, high float64, steps int) []float64 {
	if steps < 2 || low == high {
		return []float64{high}
	}
	rates := make([]float64, steps)
	for i := range rates {
		rates[i] = low + (high-low)*float64(i)/float64(steps-1)
		if low >= float64(steps) {
			rates[i] = math.Round(rates[i])
		}
	}
	return rates
}

// Intervals are the points' histograms for a log.
func Intervals(points []*Point) []load.Interval {
	var all []load.Interval
	for _, p := range points {
		all = append(all, load.Interval{
			Tag: fmt.Sprintf("rate=%g", p.Rate), Start: p.Started.Truncate(time.Millisecond), End: p.End, Histogram: p.Histogram,
		})
	}
	return all
}
