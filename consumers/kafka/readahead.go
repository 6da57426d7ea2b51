package kafka

import (
	"sync/atomic"

	"github.com/sluice-ml/sluice/pipeline"
)

// inFlightAhead is how much may be in flight, asked for and not settled, for more
// backlog to be asked for while something waits to be decoded: nine answers. With all
// that the partitions may hold, a drain of JSON had some 60 MiB in answers, since one
// stays until its last record is settled: a peak of 134 to 143 MiB, and of 112 to 124
// with the bound, at 0.95 of the speed (0.77 to 1.16, five rounds) and 0.95 of the
// CPU. With five answers it was 107 to 124 MiB, at 0.85 of the speed.
const inFlightAhead = 9 * hotBytes

// readAhead bounds how far fetching of backlog runs ahead of the pipeline. Safe
// for concurrent use.
type readAhead struct {
	budget *pipeline.Budget
	// idle: Receive waits and finds nothing to decode.
	idle atomic.Bool
	// short: backlog was left out of a fetch because enough was in flight.
	short atomic.Bool
}

// full says that no more backlog may be asked for of a broker that owes asked bytes
// of it. What is in flight counts only as long as there is something to decode:
// a pipeline that needs more at once (large records, slow acknowledgements, whole
// transactions) gets an answer at a time, and so do other partitions where
// undecoded records of one that stands still fill the bound.
func (a *readAhead) full(asked int64) bool {
	if a.room(asked) {
		return false
	}
	a.short.Store(true) // before the second look: a Receive that idles after it wakes us
	return !a.room(asked)
}

func (a *readAhead) room(asked int64) bool {
	return a.budget.Used() < inFlightAhead || asked == 0 && a.idle.Load()
}

// received notes whether Receive found anything; true when backlog that was left out
// is to be asked for because it did not.
func (a *readAhead) received(items int) bool {
	a.idle.Store(items == 0)
	return items == 0 && a.short.Load() && a.short.CompareAndSwap(true, false)
}
