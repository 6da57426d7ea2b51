package kafka

import (
	"sync"
	"time"
)

// floodSlots divide the window: it slides in steps of a sixtieth.
const floodSlots = 60

// flood watches the share of dead letters among the items of one input topic
// over a sliding window. Safe for concurrent use.
type flood struct {
	maxShare float64
	minItems int64
	step     time.Duration // 0: off

	mu          sync.Mutex
	slots       [floodSlots]struct{ items, dead int64 }
	newest      int64 // number of the newest slot since 1970
	items, dead int64 // sums over the slots
	tripped     bool  // for the rest of the process
}

func newFlood(cfg DeadLetterConfig) *flood {
	f := &flood{maxShare: cfg.MaxShare, minItems: int64(cfg.MinItems)}
	if cfg.Window > 0 {
		f.step = max(cfg.Window/floodSlots, 1)
	}
	return f
}

// slide drops the slots that have left the window and returns the newest.
func (f *flood) slide(now time.Time) *struct{ items, dead int64 } {
	slot := now.UnixNano() / int64(f.step)
	for gone := min(slot-f.newest, floodSlots); gone > 0; gone-- {
		old := &f.slots[(slot-gone+1)%floodSlots]
		f.items -= old.items
		f.dead -= old.dead
		old.items, old.dead = 0, 0
	}
	f.newest = max(f.newest, slot)
	return &f.slots[f.newest%floodSlots]
}

// passed counts items that are no dead letters.
func (f *flood) passed(now time.Time, n int) {
	if f.step == 0 || n == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.slide(now).items += int64(n)
	f.items += int64(n)
}

// letter counts a dead letter before it is written. stop says not to write it;
// first is true once, when the flood begins.
func (f *flood) letter(now time.Time) (stop, first bool) {
	if f.step == 0 {
		return false, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.slide(now)
	s.items++
	s.dead++
	f.items++
	f.dead++
	over := f.items >= f.minItems && float64(f.dead) > f.maxShare*float64(f.items)
	first = over && !f.tripped
	f.tripped = f.tripped || over
	return f.tripped, first
}
