package pipeline

import (
	"math"
	"sync"
	"sync/atomic"
)

// PartitionConfig describes one assignment of one input partition.
type PartitionConfig struct {
	Topic string
	ID    int32
	// Start is the first offset to be processed: the committed position.
	Start int64
	// Ring is how many records may be tracked and not yet committed.
	Ring int
	// Ordered delivers outcomes in the order of the inputs.
	Ordered bool
	// Gate, shared by all partitions of a source, bounds delivered but
	// uncommitted outcomes; nil for a source that commits nothing, whose ring
	// is freed as records are settled.
	Gate *Gate
	// OnStop is called once, from any goroutine, when delivery failed: nothing
	// of this assignment is handed on any more and its items are dropped. It
	// must not block and must not call back into the Partition.
	OnStop func(error)
}

// Partition is one assignment (epoch) of one input partition: watermark and
// reorder buffer in one. A record is tracked, begun by a worker, held until its
// turn, sent, settled and at last committed. Safe for concurrent use; Track and
// SkipTo are called from one goroutine.
type Partition struct {
	cfg PartitionConfig

	// limit is the place from which nothing is begun or delivered: infinite,
	// the barrier while draining, 0 when closed. Written under mu.
	limit atomic.Uint64

	mu         sync.Mutex
	quiet      sync.Cond // no delivery is under way
	ring       ring
	position   int64
	inFlight   int
	written    int      // of them: their slots are free (Written)
	ready      []uint64 // order none: held places, in the order of finishing
	sentEnd    uint64   // one past the highest place sent
	sent       int      // how many places the sink has now
	delivering bool     // one goroutine at a time sends for this partition
	draining   bool
	closed     bool
	failure    error // stops once what was sent is settled
	pipe       *Pipeline
	chunk      []*Item // only the delivering goroutine
	drained    chan struct{}
	isDrained  bool
}

// NewPartition starts an epoch at cfg.Start.
func NewPartition(cfg PartitionConfig) *Partition {
	if cfg.Ring <= 0 {
		panic("BUG: partition without a ring")
	}
	p := &Partition{cfg: cfg, position: cfg.Start, drained: make(chan struct{})}
	p.quiet.L = &p.mu
	p.limit.Store(math.MaxUint64)
	return p
}

// Topic is the input topic.
func (p *Partition) Topic() string { return p.cfg.Topic }

// ID is the partition's number.
func (p *Partition) ID() int32 { return p.cfg.ID }

// Free is how many records may still be tracked; 0 once closed.
func (p *Partition) Free() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0
	}
	return p.cfg.Ring - p.ring.len()
}

// Track enters a record: next is the offset the position moves to when this
// record and all before it are settled (the end of the batch for its last
// record). Tracking more than Free is a bug of the source.
func (p *Partition) Track(it *Item, next int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	it.state.lane, it.state.seq = p, p.ring.tail
	p.inFlight++
	if p.closed {
		return // I3: limit is 0, so the item is dropped where it is met next
	}
	if p.ring.len() >= p.cfg.Ring {
		panic("BUG: tracked more records than the ring has free")
	}
	p.ring.push(entry{offset: it.Offset, next: next, timestamp: it.Timestamp, fetchedAt: it.FetchedAt}, p.cfg.Ring)
}

// SkipTo says that the offsets below next, after those tracked, need no
// processing: control batches, aborted transactions, compaction gaps.
func (p *Partition) SkipTo(next int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.draining {
		return // beyond a barrier it might jump over dropped records
	}
	if p.ring.commit == p.ring.tail {
		p.position = max(p.position, next)
		return
	}
	last := p.ring.at(p.ring.tail - 1)
	last.next = max(last.next, next)
}

// Position is what may be committed now: every offset below it is settled (I2).
func (p *Partition) Position() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.position
}

// Committed says that the committer has stored offset: the gate and the ring
// are freed up to it. Delivery that waited goes on in another goroutine.
func (p *Partition) Committed(offset int64) {
	p.mu.Lock()
	freed := 0
	for r := &p.ring; !p.closed && r.freed < r.commit && r.at(r.freed).next <= offset; r.freed++ {
		if r.at(r.freed).gated {
			freed++
		}
	}
	p.mu.Unlock()
	p.cfg.Gate.release(freed)
}

// InFlight is how many records are tracked and neither settled nor dropped.
func (p *Partition) InFlight() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.inFlight
}

// Unwritten is how many of these still have a slot: all but those whose outcome is in a
// transaction that is being committed.
func (p *Partition) Unwritten() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.inFlight - p.written
}

// Oldest is the oldest record not yet settled, for lag in seconds.
func (p *Partition) Oldest() (offset, timestampMs int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.ring.commit == p.ring.tail {
		return 0, 0, false
	}
	e := p.ring.at(p.ring.commit)
	return e.offset, e.timestamp, true
}

// oldestFetch is when the oldest record not yet settled was fetched.
func (p *Partition) oldestFetch() (unixNano int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.ring.commit == p.ring.tail {
		return 0, false
	}
	fetched := p.ring.at(p.ring.commit).fetchedAt
	return fetched, fetched > 0
}

// settled ends a record's stay: durable ones let the position move over the
// settled prefix (I2). It reports whether the record was acknowledged.
func (p *Partition) settled(it *Item, durable bool) bool {
	p.mu.Lock()
	if !p.settle(it, durable) {
		p.mu.Unlock()
		return false
	}
	moved := p.advance()
	failure := p.failureDue()
	p.mu.Unlock()
	if failure != nil {
		p.Stop(failure)
	}
	if moved {
		p.afterAdvance()
	}
	return true
}

// settle marks a record as settled; false when nothing moves with it. mu is held.
func (p *Partition) settle(it *Item, durable bool) bool {
	p.inFlight--
	if it.state.written {
		p.written--
	}
	if p.inFlight < 0 {
		panic("BUG: an item was settled twice")
	}
	if p.closed || !durable { // I3: an older epoch moves nothing
		return false
	}
	e := p.ring.at(it.state.seq)
	if e.state == entrySettled {
		panic("BUG: an item was settled twice")
	}
	if e.state == entrySent {
		p.sent--
	}
	e.state = entrySettled
	return true
}

// advance moves the commit cursor over the settled prefix; mu is held.
func (p *Partition) advance() (moved bool) {
	r := &p.ring
	for r.commit < r.tail && r.at(r.commit).state == entrySettled {
		p.position = r.at(r.commit).next
		r.commit++
		moved = true
	}
	if p.cfg.Gate == nil {
		r.freed = r.commit
	}
	p.checkDrained()
	return moved
}
