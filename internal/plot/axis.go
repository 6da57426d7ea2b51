package plot

import (
	"math"
	"slices"
	"strconv"
)

// Axis is one direction of a chart.
type Axis struct {
	Label string
	// Log draws by powers of ten; values of 0 and less are left out.
	Log bool
	// Format writes a tick; nil for plain digits with a k or M.
	Format func(float64) string
	// Ticks are the places to mark; nil for round numbers.
	Ticks []float64
	// Max is what the axis reaches at least, as does Min downwards where it is
	// set; a linear axis begins at 0.
	Min, Max float64
}

// scale maps values to pixels.
type scale struct {
	axis     Axis
	low, top float64 // of the values, in log where Log
	from, to float64 // pixels
	ticks    []float64
}

// newScale covers the values.
func newScale(a Axis, values []float64, from, to float64) scale {
	low, top := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if drawable(a, v) {
			low, top = min(low, v), max(top, v)
		}
	}
	if a.Max > 0 {
		top = max(top, a.Max)
	}
	if a.Min > 0 {
		low = min(low, a.Min)
	}
	if low > top {
		low, top = 1, 10
	}
	s := scale{axis: a, from: from, to: to}
	if a.Log {
		s.ticks = logTicks(low, top)
		s.low, s.top = math.Log10(s.ticks[0]), math.Log10(s.ticks[len(s.ticks)-1])
	} else {
		s.ticks = linearTicks(top)
		s.low, s.top = 0, max(s.ticks[len(s.ticks)-1], top*1.02)
	}
	if a.Ticks != nil {
		s.ticks = a.Ticks
		if a.Log {
			s.low, s.top = math.Log10(low)-0.05, math.Log10(top)+0.05
		}
	}
	return s
}

func drawable(a Axis, v float64) bool {
	return !math.IsNaN(v) && !math.IsInf(v, 0) && (!a.Log || v > 0)
}

// at is the pixel of a value.
func (s *scale) at(v float64) float64 {
	if s.axis.Log {
		v = math.Log10(v)
	}
	return s.from + (v-s.low)/(s.top-s.low)*(s.to-s.from)
}

func (s *scale) format(v float64) string {
	if s.axis.Format != nil {
		return s.axis.Format(v)
	}
	return Digits(v)
}

// linearTicks are five or so round numbers from 0 to top or above.
func linearTicks(top float64) []float64 {
	if top <= 0 {
		top = 1
	}
	step := math.Pow(10, math.Floor(math.Log10(top/4)))
	for _, f := range []float64{1, 2, 2.5, 5, 10} {
		if top/(step*f) <= 6 {
			step *= f
			break
		}
	}
	var ticks []float64
	for i := 0; ; i++ {
		ticks = append(ticks, float64(i)*step)
		if float64(i)*step >= top*0.98 {
			return ticks
		}
	}
}

// logTicks are 1, 2 and 5 times the powers of ten around low..top; fewer where
// that is many.
func logTicks(low, top float64) []float64 {
	factors := []float64{1, 2, 5}
	if math.Log10(top/low) > 3.5 {
		factors = []float64{1}
	}
	var all []float64
	for e := math.Floor(math.Log10(low)) - 1; e <= math.Ceil(math.Log10(top))+1; e++ {
		for _, f := range factors {
			all = append(all, f*math.Pow(10, e))
		}
	}
	first := slices.IndexFunc(all, func(v float64) bool { return v > low*1.001 }) - 1
	last := slices.IndexFunc(all, func(v float64) bool { return v >= top*0.999 })
	if last == first {
		last++
	}
	return all[first : last+1]
}

// Digits writes 1500 as 1.5k and 0.05 as 0.05.
func Digits(v float64) string {
	switch abs := math.Abs(v); {
	case abs >= 1e9:
		return strconv.FormatFloat(v/1e9, 'g', 4, 64) + "G"
	case abs >= 1e6:
		return strconv.FormatFloat(v/1e6, 'g', 4, 64) + "M"
	case abs >= 1e4:
		return strconv.FormatFloat(v/1e3, 'g', 4, 64) + "k"
	default:
		return strconv.FormatFloat(v, 'g', 4, 64)
	}
}

// Seconds writes 0.0015 as 1.5 ms.
func Seconds(v float64) string {
	switch {
	case v < 0.9995e-3:
		return strconv.FormatFloat(v*1e6, 'g', 3, 64) + " µs"
	case v < 0.9995:
		return strconv.FormatFloat(v*1e3, 'g', 3, 64) + " ms"
	default:
		return strconv.FormatFloat(v, 'g', 3, 64) + " s"
	}
}
