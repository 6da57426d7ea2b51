package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestMedianAndQuantile(t *testing.T) {
	t.Parallel()
	values := []float64{4, 1, 3}
	near(t, "odd", Median(values), 3, 0)
	near(t, "even", Median([]float64{4, 1, 3, 2}), 2.5, 0)
	if !slices.Equal(values, []float64{4, 1, 3}) {
		t.Error("the argument was sorted")
	}
	if !math.IsNaN(Median(nil)) || !math.IsNaN(Quantile(nil, 0.5)) {
		t.Error("nothing has a median")
	}
	near(t, "between neighbours", Quantile([]float64{0, 10, 20}, 0.25), 5, 0)
	near(t, "top", Quantile([]float64{0, 10, 20}, 1), 20, 0)
}

func TestPairedRatioCancelsWhatDisturbsARound(t *testing.T) {
	t.Parallel()
	ours, theirs := []float64{200, 20, 400, math.NaN()}, []float64{100, 10, 200, 7}
	if e := Paired(ours, theirs); e.Median != 2 || e.Low != 2 || e.High != 2 || e.N != 3 {
		t.Errorf("%+v, want 2 of 3 rounds", e)
	}
	if e := Paired(nil, theirs); e.N != 0 || !math.IsNaN(e.Median) {
		t.Errorf("%+v of no rounds", e)
	}
}

// The interval must hold the true median about 95 times in 100.
func TestBootstrapCoversTheMedian(t *testing.T) {
	t.Parallel()
	random, covered, outside := rand.New(rand.NewPCG(1, 2)), 0, 0
	const experiments = 60
	for range experiments {
		values := make([]float64, 21)
		for i := range values {
			values[i] = 5 + random.NormFloat64()
		}
		e := Bootstrap(values)
		if e.Low <= 5 && 5 <= e.High {
			covered++
		}
		if e.Low > e.Median || e.High < e.Median {
			outside++
		}
	}
	if covered < experiments*85/100 || outside > 0 {
		t.Errorf("%d of %d intervals hold the median, %d do not hold their own", covered, experiments, outside)
	}
	if e := Bootstrap([]float64{3}); e != (Estimate{3, 3, 3, 1}) {
		t.Errorf("one value: %+v", e)
	}
	// Of three values the resampled median is an end with probability 7/27 each.
	if e := Bootstrap([]float64{1, 2, 9}); e != (Estimate{2, 1, 9, 3}) {
		t.Errorf("three values: %+v", e)
	}
}

func TestLineFindsFixedAndPerRowCost(t *testing.T) {
	t.Parallel()
	a, b := Line([]float64{1, 2, 10, 100}, []float64{12, 14, 30, 210})
	near(t, "a", a, 10, 1e-9)
	near(t, "b", b, 2, 1e-9)
}
