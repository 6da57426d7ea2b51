package pipeline

import (
	"sync"
	"time"

	"github.com/sluice-ml/sluice/schemas"
)

// batcher gathers decoded items into batches. While all workers are busy batches
// grow; an idle worker takes the oldest that may leave. It has no goroutine of its
// own: adding wakes one waiting worker, which wakes the next when more is left.
// Its memory is bounded by the slots. Safe for concurrent use.
type batcher struct {
	maxRows  int
	maxDelay time.Duration
	sig      *schemas.Signature
	runs     costModel     // the model's time by rows
	wake     chan struct{} // size 1: a signal
	// waiting counts the inputs of batches that nobody has taken, for decoders that are
	// not the workers; nil without such.
	waiting *Budget

	mu        sync.Mutex
	open      batchList             // may still grow, oldest first item first
	full      batchList             // may not, first filled first
	growing   map[uint64]*openBatch // by shape key, one per shape
	deadlines int                   // open batches with a deadline
	closed    bool
}

func newBatcher(cfg Config, sig *schemas.Signature) *batcher {
	b := &batcher{
		maxRows: cfg.MaxRows, maxDelay: cfg.MaxDelay, sig: sig,
		wake: make(chan struct{}, 1), growing: map[uint64]*openBatch{},
	}
	if sig.FixedRows > 0 {
		b.maxRows = min(b.maxRows, sig.FixedRows)
	}
	return b
}

// add places decoded items. It never waits.
func (b *batcher) add(items []*Item, at int64) {
	if len(items) == 0 {
		return
	}
	b.mu.Lock()
	for _, it := range items {
		b.place(it, at)
	}
	b.mu.Unlock()
	b.signal()
}

// varyingBytes is how much input a batch of rows with varying shapes holds, but for its
// first item: what the runtime needs for a run grows with it, some ten times as much, and
// how large the rows of other people are nobody says in max_rows.
const varyingBytes = 8 << 20

// aheadBytes is how much input decoders of their own may have waiting: enough for
// several batches of any usual model.
const aheadBytes = 64 << 20

// inputBytes is what the item's decoded inputs take, roughly.
func inputBytes(it *Item) (n int64) {
	for i := range it.Req.Inputs {
		n += int64(len(it.Req.Inputs[i].Data) + 16*len(it.Req.Inputs[i].Strings))
	}
	return n
}

// most is how many rows a batch of items like this one, of so many bytes, may have.
func (b *batcher) most(it *Item, bytes int64) int {
	if !b.sig.Varying || bytes == 0 {
		return b.maxRows
	}
	return min(b.maxRows, max(1, int(varyingBytes/bytes))*max(1, it.Req.Rows))
}

// place puts an item into the growing batch of its shape. An item with more rows
// than a batch may have becomes a batch of its own. mu is held.
func (b *batcher) place(it *Item, at int64) {
	bytes := inputBytes(it)
	if b.waiting != nil {
		b.waiting.Add(bytes)
	}
	most := b.most(it, bytes)
	if b.sig.Alone || it.Req.Rows >= most {
		alone := newOpenBatch(at)
		alone.append(it)
		alone.bytes = bytes
		alone.readyAt = at
		b.full.push(alone)
		return
	}
	key := b.keyOf(it)
	batch := b.growing[key]
	if batch != nil && batch.Rows+it.Req.Rows > most {
		b.fill(batch, at)
		batch = nil
	}
	if batch == nil {
		batch = newOpenBatch(at)
		batch.key = key
		b.growing[key] = batch
		b.open.push(batch)
	}
	if it.Req.Deadline > 0 && batch.deadline == 0 {
		b.deadlines++
	}
	batch.append(it)
	batch.bytes += bytes
	if batch.Rows >= most {
		b.fill(batch, at)
	}
}

// fill moves a growing batch to the full ones; mu is held.
func (b *batcher) fill(batch *openBatch, at int64) {
	b.detach(batch)
	batch.readyAt = at
	b.full.push(batch)
}

// detach ends a batch's growth; mu is held.
func (b *batcher) detach(batch *openBatch) {
	b.open.remove(batch)
	delete(b.growing, batch.key)
	if batch.deadline > 0 {
		b.deadlines--
	}
}

// keyOf is the item's shape key, moved on while another shape sits there (two
// shapes with one hash never share a batch). mu is held.
func (b *batcher) keyOf(it *Item) uint64 {
	if !b.sig.Varying {
		return 0
	}
	key := shapeKey(b.sig, it)
	for b.growing[key] != nil && !sameShape(b.sig, b.growing[key].Items[0], it) {
		key++
	}
	return key
}

// take returns the next batch, waiting until one may leave; nil when the batcher
// is closed and empty. The timer is the caller's, for this call.
func (b *batcher) take(timer *time.Timer) *openBatch {
	for {
		batch, wait, closed := b.poll()
		if batch != nil {
			return batch
		}
		if closed {
			b.signal() // the other workers
			return nil
		}
		if wait > 0 {
			timer.Reset(wait)
		}
		select {
		case <-b.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// poll returns the batch that leaves now; else how long until one may, 0 for
// unknown, and whether none will.
func (b *batcher) poll() (batch *openBatch, wait time.Duration, ended bool) {
	b.mu.Lock()
	batch, wait = b.pick(now())
	if batch != nil && b.waiting != nil {
		b.waiting.Release(batch.bytes)
	}
	more := b.open.head != nil || b.full.head != nil
	closed := b.closed
	b.mu.Unlock()
	if batch != nil && (more || closed) {
		b.signal()
	}
	return batch, wait, closed
}

// close lets everything leave at once and then ends the workers.
func (b *batcher) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.signal()
}

func (b *batcher) signal() { nudge(b.wake) }
