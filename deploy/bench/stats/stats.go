// Package stats is the little statistics that a comparison needs: medians, ratios
// of paired rounds, and their interval by bootstrap. All functions are pure.
package stats

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Median is the middle value, the mean of the two middle ones of an even count,
// NaN of none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	v := slices.Clone(values)
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// Estimate is a median with the interval that holds it with 95 % confidence. Of
// fewer than about five values the interval is no more than their range.
type Estimate struct {
	Median    float64 `json:"median"`
	Low, High float64
	N         int
}

// resamples of the bootstrap; the ends of the interval move by less than a
// percent of its width from seed to seed.
const resamples = 10_000

// Bootstrap estimates the median of values by resampling them with a fixed seed
// (percentile bootstrap, Efron 1979).
func Bootstrap(values []float64) Estimate {
	e := Estimate{Median: Median(values), N: len(values)}
	e.Low, e.High = e.Median, e.Median
	if len(values) < 2 {
		return e
	}
	random := rand.New(rand.NewPCG(95, uint64(len(values))))
	medians, draw := make([]float64, resamples), make([]float64, len(values))
	for i := range medians {
		for j := range draw {
			draw[j] = values[random.IntN(len(values))]
		}
		medians[i] = Median(draw)
	}
	slices.Sort(medians)
	e.Low, e.High = Quantile(medians, 0.025), Quantile(medians, 0.975)
	return e
}

// Quantile is the q-th quantile of sorted values, linear between neighbours.
func Quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := q * float64(len(sorted)-1)
	low := int(math.Floor(at))
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}

// Paired is the estimate of ours over theirs, round by round: what disturbs a
// round disturbs both. Rounds that one of them lacks (NaN) are left out.
func Paired(ours, theirs []float64) Estimate {
	var ratios []float64
	for i := range min(len(ours), len(theirs)) {
		if r := ours[i] / theirs[i]; !math.IsNaN(r) && !math.IsInf(r, 0) {
			ratios = append(ratios, r)
		}
	}
	return Bootstrap(ratios)
}

// Line fits y = a + b x by least squares.
func Line(x, y []float64) (a, b float64) {
	n, sx, sy, sxx, sxy := float64(len(x)), 0.0, 0.0, 0.0, 0.0
	for i := range x {
		sx, sy, sxx, sxy = sx+x[i], sy+y[i], sxx+x[i]*x[i], sxy+x[i]*y[i]
	}
	b = (n*sxy - sx*sy) / (n*sxx - sx*sx)
	return (sy - b*sx) / n, b
}
