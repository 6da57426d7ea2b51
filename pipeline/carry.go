package pipeline

import (
	"context"
)

// Workers that decode what they run. Where there are as many workers as decoders
// each core does best to take records from the inbox and carry them to the sink in
// one go: the rows are decoded where the model reads them, still in the core's
// cache when it does, and nobody is woken in between. Measured beside separate
// decoders in pipeline/onnx's BenchmarkPipeline.

// carryAll carries what the inbox and the batcher have until the inbox has ended.
func (w *worker) carryAll(ctx context.Context) {
	w.openStage()
	for {
		batch, wait, _ := w.p.batcher.poll()
		if batch != nil {
			w.p.inbox.pass()
			w.process(ctx, batch)
			batch.recycle()
			continue
		}
		if rest := w.decoder.rest; len(rest) > 0 {
			w.carry(ctx, rest)
			continue
		}
		items, ended := w.p.inbox.take(w.decoder.items[:0], w.piece)
		w.decoder.items = items
		switch {
		case len(items) > 0:
			w.carry(ctx, items)
		case ended:
			return
		case w.p.inbox.rest():
			if wait > 0 {
				w.timer.Reset(wait)
			}
			w.p.inbox.wait(w.timer.C)
			w.timer.Stop()
		}
	}
}

// carry decodes the items and runs them at once where they may share a batch that
// need not wait; else they go to the batcher.
func (w *worker) carry(ctx context.Context, items []*Item) {
	began := now()
	ready := w.decoder.decode(ctx, items)
	n := len(items) - len(w.decoder.rest)
	if len(ready) == 0 {
		return
	}
	if !w.p.batcher.atOnce(ready) {
		own(ready) // the next piece is decoded into the same stage
		w.p.batcher.add(ready, ready[len(ready)-1].state.decodedAt)
		return
	}
	w.direct = openBatch{Batch: Batch{Items: ready, Rows: len(ready), Reason: ReasonIdle, Stage: w.decoder.staging.batchStage(len(ready))}}
	if len(ready) == w.p.batcher.maxRows {
		w.direct.Reason = ReasonFull
	}
	w.process(ctx, &w.direct)
	clear(items[:n])
	w.p.sizing.work.observe(n, now()-began)
}

// piece is how many of the waiting items this worker takes: what has room.
func (w *worker) piece(waiting, takers int) int {
	n := w.p.sizing.piece(waiting, takers)
	if stage := w.decoder.staging.stage; stage != nil {
		return min(n, stage.Rows())
	}
	return n
}

// openStage gets memory to decode into where the model has any and what is decoded
// does not wait.
func (w *worker) openStage() {
	stager, ok := w.p.model.(Stager)
	if !ok || !w.p.batcher.mixes() || w.p.batcher.maxDelay > 0 {
		return
	}
	if stage := stager.NewStage(w.p.batcher.maxRows); stage != nil {
		w.decoder.staging = staging{stage: stage, inputs: len(w.p.batcher.sig.Inputs)}
	}
}

// close frees what the worker has.
func (w *worker) close() {
	if w.decoder.staging.stage != nil {
		w.decoder.staging.stage.Close()
	}
}
