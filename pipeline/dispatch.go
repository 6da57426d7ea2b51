package pipeline

import (
	"sync"
	"time"
)

// openBatch is a batch that is being gathered. Times are Unix nanoseconds.
type openBatch struct {
	Batch
	key        uint64
	firstAt    int64 // when its first item came
	readyAt    int64 // from when on it waited only for a worker
	deadline   int64 // the earliest of its items, 0 for none
	bytes      int64 // of its inputs
	prev, next *openBatch
}

var batchPool = sync.Pool{New: func() any { return new(openBatch) }}

func newOpenBatch(at int64) *openBatch {
	b := batchPool.Get().(*openBatch)
	*b = openBatch{Batch: Batch{Items: b.Items[:0]}, firstAt: at}
	return b
}

// recycle gives the batch back; its items belong to others already.
func (b *openBatch) recycle() {
	clear(b.Items)
	batchPool.Put(b)
}

func (b *openBatch) append(it *Item) {
	b.Items = append(b.Items, it)
	b.Rows += it.Req.Rows
	b.Reason = ReasonFull
	if d := it.Req.Deadline; d > 0 && (b.deadline == 0 || nanos(d) < b.deadline) {
		b.deadline = nanos(d)
	}
}

// batchList is a queue with removal from the middle.
type batchList struct{ head, tail *openBatch }

func (l *batchList) push(b *openBatch) {
	b.prev, b.next = l.tail, nil
	if l.tail == nil {
		l.head = b
	} else {
		l.tail.next = b
	}
	l.tail = b
}

func (l *batchList) remove(b *openBatch) {
	if b.prev == nil {
		l.head = b.next
	} else {
		b.prev.next = b.next
	}
	if b.next == nil {
		l.tail = b.prev
	} else {
		b.next.prev = b.prev
	}
	b.prev, b.next = nil, nil
}

// pick takes the batch that leaves now, the one with the oldest first item of
// those that may. With none it says how long until the next may, 0 for unknown.
// mu is held.
func (b *batcher) pick(at int64) (*openBatch, time.Duration) {
	oldest, full := b.open.head, b.full.head
	var reason DispatchReason
	var wait time.Duration
	if oldest != nil {
		reason, wait = b.mayLeave(oldest, at)
	}
	if full != nil && (reason == "" || full.firstAt <= oldest.firstAt) {
		b.full.remove(full)
		return full, 0
	}
	if reason == "" && b.deadlines > 0 {
		if oldest, wait = b.pressing(at, wait); oldest != nil {
			reason = ReasonDeadline
		}
	}
	if reason == "" {
		return nil, wait
	}
	b.detach(oldest)
	oldest.Reason = reason
	return oldest, 0
}

// mayLeave says why the batch may leave now, or how long it waits to grow.
func (b *batcher) mayLeave(batch *openBatch, at int64) (DispatchReason, time.Duration) {
	age := time.Duration(at - batch.firstAt)
	switch {
	case b.maxDelay == 0 && !b.closed:
		batch.readyAt = batch.firstAt
		return ReasonIdle, 0
	case b.closed:
		batch.readyAt = at
		return ReasonDrain, 0
	case age >= b.maxDelay:
		batch.readyAt = batch.firstAt + int64(b.maxDelay)
		return ReasonDelay, 0
	default:
		return "", b.maxDelay - age
	}
}

// pressing finds a growing batch whose deadline would be missed if it waited on;
// else it shortens wait to the next such moment.
func (b *batcher) pressing(at int64, wait time.Duration) (*openBatch, time.Duration) {
	took := b.runs.upper()
	for batch := b.open.head; batch != nil; batch = batch.next {
		if batch.deadline == 0 {
			continue
		}
		latest := batch.deadline - int64(took.at(batch.Rows))
		if latest <= at {
			batch.readyAt = at
			return batch, 0
		}
		wait = min(wait, time.Duration(latest-at))
	}
	return nil, wait
}

// mixes says that any items of one row each may share a batch.
func (b *batcher) mixes() bool { return !b.sig.Alone && !b.sig.Varying }

// atOnce says that these items are a batch that leaves now, without growing.
func (b *batcher) atOnce(items []*Item) bool {
	if !b.mixes() || b.maxDelay > 0 || len(items) > b.maxRows {
		return false
	}
	for _, it := range items {
		if it.Req.Rows != 1 {
			return false
		}
	}
	return true
}
