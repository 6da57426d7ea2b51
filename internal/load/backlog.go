package load

import (
	"slices"
	"time"
)

// SustainedGrowth is by how much the backlog may grow during a run, as time of
// load, for its rate to count as sustained; in runs shorter than ten times that,
// a tenth of the measured time.
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
	first, latest []sample // edgeSamples at most
}

// sample is the backlog, as seconds of load, at a time since the start.
type sample struct{ since, load float64 }

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
	now := sample{since.Seconds(), float64(backlog) / b.schedule.Rate()}
	if len(b.first) < edgeSamples {
		b.first = append(b.first, now)
	}
	if len(b.latest) == edgeSamples {
		b.latest = slices.Delete(b.latest, 0, 1)
	}
	b.latest = append(b.latest, now)
	return backlog
}

// Growth is how much more backlog there is at the end of the measured time than
// at its beginning, as time of load; negative when it shrank.
func (b *Backlog) Growth() time.Duration {
	if len(b.first) == 0 {
		return 0
	}
	first, last := median(b.first), median(b.latest)
	growth := last.load - first.load
	// The medians stand for times inside the ends. That is made up for unless
	// they are so close that it would only enlarge noise.
	if measured := (b.duration - b.warmup).Seconds(); last.since-first.since > measured/2 {
		growth *= measured / (last.since - first.since)
	}
	return time.Duration(growth * float64(time.Second))
}

// Sustained says whether the system kept up.
func (b *Backlog) Sustained() bool {
	return b.Growth() <= min(SustainedGrowth, (b.duration-b.warmup)/10)
}

// median is that of the times and of the backlogs.
func median(samples []sample) sample {
	middle := func(of func(sample) float64) float64 {
		values := make([]float64, len(samples))
		for i, s := range samples {
			values[i] = of(s)
		}
		slices.Sort(values)
		return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
	}
	return sample{middle(func(s sample) float64 { return s.since }), middle(func(s sample) float64 { return s.load })}
}
