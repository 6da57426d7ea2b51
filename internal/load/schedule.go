package load

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// Arrival is how the instants of a schedule are spread.
type Arrival string

// The arrivals.
const (
	// Poisson has independent, exponentially distributed gaps: what many
	// independent senders look like together.
	Poisson Arrival = "poisson"
	// Constant has equal gaps.
	Constant Arrival = "constant"
)

// ParseArrival reads the name of an arrival.
func ParseArrival(name string) (Arrival, error) {
	switch a := Arrival(name); a {
	case Poisson, Constant:
		return a, nil
	}
	return "", fmt.Errorf("unknown arrival %q; allowed: %s, %s", name, Poisson, Constant)
}

// Schedule is an endless series of instants, as time since the start of a run.
// It depends on its arguments alone: two schedules made of the same ones have
// the same instants, so a watcher can follow a copy of its own. Not safe for
// concurrent use.
type Schedule struct {
	arrival Arrival
	rate    float64
	random  *rand.Rand
	n       int64
	at      float64 // seconds; the last instant of a Poisson schedule
}

// NewSchedule makes a schedule of rate instants a second on average; rate is
// positive. The seed matters to Poisson only.
func NewSchedule(arrival Arrival, rate float64, seed uint64) *Schedule {
	return &Schedule{arrival: arrival, rate: rate, random: rand.New(rand.NewPCG(seed, math.Float64bits(rate)))}
}

// Rate is instants a second, on average.
func (s *Schedule) Rate() float64 { return s.rate }

// Next is the next instant. Instants never decrease.
func (s *Schedule) Next() time.Duration {
	s.n++
	if s.arrival == Poisson {
		s.at += s.random.ExpFloat64() / s.rate
		return seconds(s.at)
	}
	// From the count, not from the last one: no rounding adds up.
	return seconds(float64(s.n-1) / s.rate)
}

// seconds is the duration, the longest there is where it does not fit.
func seconds(s float64) time.Duration {
	if ns := s * float64(time.Second); ns < math.MaxInt64 {
		return time.Duration(ns)
	}
	return math.MaxInt64
}
