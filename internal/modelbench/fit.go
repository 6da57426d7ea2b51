package modelbench

import "math"

// Fit is t(n) = Fixed + PerRow n, in seconds: what a run costs whatever its
// rows, and what each row adds.
type Fit struct {
	Threads
	Fixed  float64 `json:"fixed_seconds"`
	PerRow float64 `json:"per_row_seconds"`
	// Off is how far the line is from the measured medians at most, as a share.
	Off float64 `json:"off"`
}

// At is the time of a run of n rows.
func (f *Fit) At(n int) float64 { return f.Fixed + f.PerRow*float64(n) }

// fit is the line through the medians with the least squares of the relative
// error, so that small batches count as much as large ones. Neither part is
// negative. ok is false for fewer than two batch sizes.
func fit(t Threads, cells []*Cell) (f Fit, ok bool) {
	f.Threads = t
	var w, wn, wt, wnn, wnt float64
	points := 0
	for _, c := range cells {
		if c.Threads != t || c.P50 <= 0 {
			continue
		}
		points++
		n, weight := float64(c.Rows), 1/(c.P50*c.P50)
		w, wn, wt = w+weight, wn+weight*n, wt+weight*c.P50
		wnn, wnt = wnn+weight*n*n, wnt+weight*n*c.P50
	}
	det := w*wnn - wn*wn
	if points < 2 || det <= 0 {
		return f, false
	}
	f.Fixed, f.PerRow = (wnn*wt-wn*wnt)/det, (w*wnt-wn*wt)/det
	switch {
	case f.Fixed < 0: // through the origin
		f.Fixed, f.PerRow = 0, wnt/wnn
	case f.PerRow < 0: // flat
		f.Fixed, f.PerRow = wt/w, 0
	}
	for _, c := range cells {
		if c.Threads == t && c.P50 > 0 {
			f.Off = max(f.Off, math.Abs(f.At(c.Rows)-c.P50)/c.P50)
		}
	}
	return f, true
}
