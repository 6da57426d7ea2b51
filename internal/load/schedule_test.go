package load

import (
	"math"
	"testing"
	"time"
)

func TestEqualArgumentsGiveEqualInstants(t *testing.T) {
	t.Parallel()
	for _, arrival := range []Arrival{Poisson, Constant} {
		a, b, other := NewSchedule(arrival, 700, 3), NewSchedule(arrival, 700, 3), NewSchedule(arrival, 700, 4)
		last, differs := time.Duration(0), false
		for range 10_000 {
			at := a.Next()
			if at != b.Next() {
				t.Fatalf("%s: two schedules of the same arguments differ", arrival)
			}
			if at < last {
				t.Fatalf("%s: %v after %v", arrival, at, last)
			}
			last = at
			differs = differs || at != other.Next()
		}
		if differs != (arrival == Poisson) {
			t.Errorf("%s: another seed differs: %v", arrival, differs)
		}
	}
}

func TestConstantInstantsDoNotDrift(t *testing.T) {
	t.Parallel()
	s := NewSchedule(Constant, 3, 0)
	var at time.Duration
	for range 3*3600 + 1 {
		at = s.Next()
	}
	if off := at - time.Hour; off < -time.Microsecond || off > time.Microsecond {
		t.Errorf("after an hour of thirds of a second: %v off", off)
	}
}

// The gaps of a Poisson process have mean and standard deviation 1/rate, and
// 1/e of them are longer than that.
func TestPoissonGapsAreExponential(t *testing.T) {
	t.Parallel()
	const n, rate = 200_000, 1000.0
	s := NewSchedule(Poisson, rate, 1)
	var last time.Duration
	var sum, squares float64
	longer := 0
	for range n {
		at := s.Next()
		gap := (at - last).Seconds() * rate
		last = at
		sum, squares = sum+gap, squares+gap*gap
		if gap > 1 {
			longer++
		}
	}
	mean := sum / n
	deviation := math.Sqrt(squares/n - mean*mean)
	for name, pair := range map[string][2]float64{
		"mean": {mean, 1}, "standard deviation": {deviation, 1}, "share above the mean": {float64(longer) / n, 1 / math.E},
	} {
		if math.Abs(pair[0]-pair[1]) > 0.01 {
			t.Errorf("%s is %.4f, want %.4f", name, pair[0], pair[1])
		}
	}
}

func TestAnUnknownArrivalIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := ParseArrival("uniform"); err == nil {
		t.Error("taken")
	}
	for _, a := range []Arrival{Poisson, Constant} {
		if got, err := ParseArrival(string(a)); err != nil || got != a {
			t.Errorf("%s: %s, %v", a, got, err)
		}
	}
}
