package demo

import (
	"math/bits"
	"time"
)

// latencySteps is how many buckets a doubling has: percentiles are within 1/32.
const latencySteps = 16

// latencies counts durations in buckets whose width grows with the value, from a
// microsecond to hours. The zero value is empty. Not safe for concurrent use.
type latencies struct {
	counts [40 * latencySteps]int64
	total  int64
}

func (l *latencies) add(d time.Duration) {
	l.counts[latencyBucket(d)]++
	l.total++
}

// since is what was added after the earlier state.
func (l *latencies) since(earlier *latencies) *latencies {
	diff := &latencies{total: l.total - earlier.total}
	for i := range l.counts {
		diff.counts[i] = l.counts[i] - earlier.counts[i]
	}
	return diff
}

// quantile is the middle of the bucket that holds the q-quantile, 0 when empty.
func (l *latencies) quantile(q float64) time.Duration {
	rank, seen := int64(q*float64(l.total)), int64(0)
	for i, n := range l.counts {
		if seen += n; seen > rank {
			return latencyValue(i)
		}
	}
	return 0
}

// latencyBucket is linear up to latencySteps microseconds, then logarithmic with
// latencySteps buckets a doubling.
func latencyBucket(d time.Duration) int {
	us := uint64(max(d, 0) / time.Microsecond)
	if us < latencySteps {
		return int(us)
	}
	doublings := bits.Len64(us) - bits.Len64(latencySteps)
	return min(doublings*latencySteps+int(us>>doublings), 40*latencySteps-1)
}

func latencyValue(bucket int) time.Duration {
	if bucket < latencySteps {
		return time.Duration(bucket)*time.Microsecond + time.Microsecond/2
	}
	doublings := bucket/latencySteps - 1
	low := (latencySteps + bucket%latencySteps) << doublings
	return time.Duration(low)*time.Microsecond + time.Duration(1<<doublings)*time.Microsecond/2
}
