package load

import (
	"slices"
	"time"
)

// SustainedGrowth is by how much the backlog may grow during a run, as time of
// load, for its rate to count as sustained.
const SustainedGrowth = time.Second

// edgeSamples is how many samples at either end of the measured time make the
// median that stands for it: one sample of a system that commits or fetches in
// bursts says little.
const edgeSamples = 10

// Backlog tells whether a system keeps up: what is due by the schedule, sent or
// not, less what is settled. Not safe for concurrent use.
type Backlog struct {
	schedule      *Schedule
	warmup        time.Duration
	duration      time.Duration
	due           int64
	next          time.Duration
	first, latest []float64 // edgeSamples at most, in seconds of load
}

// NewBacklog watches a run; the schedule is its own copy of the generator's, not
// yet begun.
func NewBacklog(schedule *Schedule, warmup, duration time.Duration) *Backlog {
	return &Backlog{schedule: schedule, warmup: warmup, duration: duration, next: schedule.Next()}
}

// Sample notes how many records are settled so long after the start, and returns
// the backlog in records. Ten samples a second and more are sensible. Those
// before the warm-up's end and after the schedule's do not count.
func (b *Backlog) Sample(since time.Duration, settled int64) int64 {
	for b.next <= since && b.next < b.duration {
		b.due++
		b.next = b.schedule.Next()
	}
	backlog := max(b.due-settled, 0)
	if since < b.warmup || since > b.duration {
		return backlog
	}
	load := float64(backlog) / b.schedule.Rate()
	if len(b.first) < edgeSamples {
		b.first = append(b.first, load)
	}
	if len(b.latest) == edgeSamples {
		b.latest = slices.Delete(b.latest, 0, 1)
	}
	b.latest = append(b.latest, load)
	return backlog
}

// Growth is how much more backlog there is at the end than at the beginning, as
// time of load; negative when it shrank.
func (b *Backlog) Growth() time.Duration {
	if len(b.first) == 0 {
		return 0
	}
	return time.Duration((median(b.latest) - median(b.first)) * float64(time.Second))
}

// Sustained says whether the system kept up.
func (b *Backlog) Sustained() bool { return b.Growth() <= SustainedGrowth }

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
