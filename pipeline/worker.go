package pipeline

import (
	"context"
	"time"

	"github.com/sluice-ml/sluice/schemas"
)

// encodeChunk is how many outcomes are encoded before they are delivered, so that
// the first of a large batch do not wait for the last; a guess.
const encodeChunk = 64

// worker runs one batch at a time. Its fields belong to its goroutine.
type worker struct {
	p       *Pipeline
	timer   *time.Timer // for the batcher
	decoder decoder
	direct  openBatch // one that this worker decoded itself
	batch   Batch     // what the model sees
	stage   Stage     // where the whole batch lies, nil when it has to be gathered
	rows    int       // of the whole batch
	done    []*Item
	scratch []*Item
	guilty  int // rows of this batch that failed alone
}

func newWorker(p *Pipeline) *worker {
	w := &worker{p: p, timer: time.NewTimer(time.Hour), decoder: decoder{p: p}}
	w.timer.Stop()
	return w
}

// run works until the batcher is closed and empty.
func (w *worker) run(ctx context.Context) {
	for b := w.p.batcher.take(w.timer); b != nil; b = w.p.batcher.take(w.timer) {
		w.process(ctx, b)
		b.recycle()
	}
}

// process runs a batch, encodes its results and delivers them: at once, or in
// parts where otherwise a deadline would be missed.
func (w *worker) process(ctx context.Context, b *openBatch) {
	items, stage := w.begin(ctx, b), b.Stage
	if len(items) < b.Rows {
		stage = nil // what is left is not in the first rows
	}
	for len(items) > 0 {
		n, moved := inTime(items, w.p.batcher.runs.upper(), now())
		if moved {
			stage = nil
		}
		if !w.runPart(ctx, b, items[:n], stage) {
			eachLane(items, (*Partition).retreat)
			return
		}
		stage = nil
		items = w.unexpired(ctx, items[n:])
	}
}

// runPart runs items of a batch and delivers their outcomes. False says that the
// work was cut, or that a stop met a broken device: they have none.
func (w *worker) runPart(ctx context.Context, b *openBatch, items []*Item, stage Stage) bool {
	started := now()
	for _, it := range items {
		it.state.readyAt, it.state.inferAt = b.readyAt, started
	}
	w.stage, w.rows = stage, rowsOf(items)
	err := w.infer(ctx, items, b.Reason)
	ended := now()
	if err != nil {
		return false
	}
	w.p.batcher.runs.observe(w.rows, ended-started)
	w.p.telemetry.batch(b.Reason, w.rows)
	for _, it := range items {
		it.state.inferredAt = ended
	}
	w.p.tracing.batch(items, b.Reason)
	for len(items) > 0 {
		n := min(encodeChunk, len(items))
		w.encode(items[:n])
		w.done = append(w.done[:0], items[:n]...)
		w.scratch = finishAll(ctx, w.done, w.scratch)
		items = items[n:]
	}
	return true
}

// begin marks the batch's items as begun and drops those that may not be.
func (w *worker) begin(ctx context.Context, b *openBatch) []*Item {
	eachLane(b.Items, (*Partition).begin)
	keep := b.Items[:0]
	for _, it := range b.Items {
		if it.state.dropped {
			it.abandon()
		} else {
			keep = append(keep, it)
		}
	}
	return w.unexpired(ctx, keep)
}

// unexpired ends the items whose deadline passed in the queue and gives the others:
// the same slice.
func (w *worker) unexpired(ctx context.Context, items []*Item) []*Item {
	at, keep := now(), items[:0]
	w.done = w.done[:0]
	for _, it := range items {
		if it.expired(at) {
			it.state.readyAt = at
			w.p.expire(it, schemas.StageInfer)
			w.done = append(w.done, it)
		} else {
			keep = append(keep, it)
		}
	}
	w.scratch = finishAll(ctx, w.done, w.scratch)
	return keep
}

// eachLane calls f with each run of items of one partition.
func eachLane(items []*Item, f func(*Partition, []*Item)) {
	for len(items) > 0 {
		lane, n := items[0].state.lane, 1
		for n < len(items) && items[n].state.lane == lane {
			n++
		}
		f(lane, items[:n])
		items = items[n:]
	}
}

func (w *worker) encode(items []*Item) {
	for _, it := range items {
		if it.Err != nil {
			it.state.outcome = DeadLettered
			continue
		}
		it.state.outcome = Predicted
		if err := w.p.encodeResult(it); err != nil {
			it.fail(err)
		}
		it.shed()
	}
	at, outputs := now(), int64(0)
	for _, it := range items {
		it.state.encodedAt = at
		outputs += it.state.outputBytes
	}
	if outputs > 0 {
		w.p.cfg.Budget.Add(outputs) // I4: given back by end
	}
}

// encodeResult calls the codec; its panic is the item's fault.
func (p *Pipeline) encodeResult(it *Item) (err *schemas.Error) {
	defer func() {
		if v := recover(); v != nil {
			err = p.panicked(v, schemas.StageEncode)
		}
	}()
	out, contentType, eerr := p.codec.Encode(it.Output[:0], &it.Record, &it.Req, &it.Res)
	if eerr != nil {
		return itemError(eerr, schemas.EncodeFailed, schemas.StageEncode)
	}
	it.Output, it.ContentType = out, contentType
	if p.cfg.Budget != nil {
		it.state.outputBytes = int64(len(out)) // the caller adds it to the budget
	}
	return nil
}

func rowsOf(items []*Item) (rows int) {
	for _, it := range items {
		rows += it.Req.Rows
	}
	return rows
}
