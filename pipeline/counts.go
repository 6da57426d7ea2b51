package pipeline

import (
	"fmt"
	"sync/atomic"
)

// Counts is what became of the items a pipeline received.
type Counts struct {
	Received     int64
	Predicted    int64
	DeadLettered int64
	Expired      int64
	Skipped      int64
	// Abandoned items were never acknowledged: they come again.
	Abandoned int64
	InFlight  int64
}

// check is I5 at the end of a run: every item has exactly one outcome.
func (c Counts) check() error {
	ended := c.Predicted + c.DeadLettered + c.Expired + c.Skipped + c.Abandoned
	if c.Received != ended+c.InFlight {
		return fmt.Errorf("BUG: %d items received, but %d have an outcome and %d are in flight", c.Received, ended, c.InFlight)
	}
	return nil
}

type counters struct {
	received atomic.Int64
	outcomes [Abandoned + 1]atomic.Int64
}

func (c *counters) add(o Outcome, n int64) {
	if o == Pending {
		panic("BUG: an item ended without an outcome")
	}
	c.outcomes[o].Add(n)
}

// Counts is a snapshot; while items move its sum may be off by those that moved.
func (p *Pipeline) Counts() Counts {
	of := func(o Outcome) int64 { return p.counts.outcomes[o].Load() }
	return Counts{
		Received: p.counts.received.Load(), Predicted: of(Predicted), DeadLettered: of(DeadLettered),
		Expired: of(ExpiredOutcome), Skipped: of(Skipped), Abandoned: of(Abandoned), InFlight: p.slots.used.Load(),
	}
}
