package pipeline

import (
	"context"
	"fmt"

	"github.com/sluice-ml/sluice/schemas"
)

// decodeAll decodes chunks until there are no more. What needs no model goes
// straight to its partition, the rest to the batcher.
func (p *Pipeline) decodeAll(ctx context.Context, chunks <-chan *chunk) {
	var done, scratch []*Item
	for c := range chunks {
		ready := c.items[:0]
		done = done[:0]
		at := now()
		for _, it := range c.items {
			if !it.state.lane.admits(it) {
				it.abandon()
				continue
			}
			it.state.decodeAt = at
			needsModel := p.decode(it, at)
			at = now()
			it.state.decodedAt = at
			if needsModel {
				ready = append(ready, it)
			} else {
				done = append(done, it)
			}
		}
		p.batcher.add(ready, at)
		scratch = finishAll(ctx, done, scratch)
		chunkPool.Put(c)
	}
}

// decode fills the item's request; false says that the item has its outcome.
func (p *Pipeline) decode(it *Item, at int64) (needsModel bool) {
	p.tracing.begin(it)
	if it.Err != nil { // the source refused it: too large, damaged headers
		it.state.outcome = DeadLettered
		return false
	}
	if it.Value == nil {
		p.tombstone(it)
		return false
	}
	if err := p.decodeRecord(it); err != nil {
		it.fail(err)
		return false
	}
	if it.expired(at) {
		p.expire(it, schemas.StageDecode)
		return false
	}
	return true
}

// decodeRecord calls the codec; its panic is the item's fault.
func (p *Pipeline) decodeRecord(it *Item) (err *schemas.Error) {
	defer func() {
		if v := recover(); v != nil {
			err = p.panicked(v, schemas.StageDecode)
		}
	}()
	if derr := p.codec.Decode(&it.Record, &it.Req); derr != nil {
		return itemError(derr, schemas.Undecodable, schemas.StageDecode)
	}
	it.Req.Rows = max(it.Req.Rows, 1)
	return nil
}

// tombstone applies the policy for null values.
func (p *Pipeline) tombstone(it *Item) {
	it.state.outcome = Skipped
	switch p.cfg.Tombstones {
	case TombstonesSkip:
		it.state.ackOnly = true
	case TombstonesDeadLetter:
		it.fail(&schemas.Error{Class: schemas.Undecodable, Stage: schemas.StageDecode, Message: "null value (tombstones: dead-letter)"})
	default:
		it.Tombstone = true
	}
}

// fail makes the item a dead letter.
func (it *Item) fail(err *schemas.Error) {
	it.Err, it.state.outcome = err, DeadLettered
}

// expired says whether the item's deadline had passed at a time.
func (it *Item) expired(at int64) bool {
	return it.Req.Deadline > 0 && nanos(it.Req.Deadline) < at
}

// expire ends an item whose deadline has passed.
func (p *Pipeline) expire(it *Item, stage schemas.Stage) {
	it.state.outcome = ExpiredOutcome
	if p.cfg.Expired == ExpiredDrop {
		it.state.ackOnly = true
		return
	}
	it.Err = &schemas.Error{Class: schemas.Expired, Stage: stage, Message: fmt.Sprintf("deadline %d ms has passed", it.Req.Deadline)}
}

// finishAll hands items that have their outcome to their partitions, keeping the
// order within each. It uses both slices and returns the second for the next call.
func finishAll(ctx context.Context, items, scratch []*Item) []*Item {
	for len(items) > 0 {
		lane, rest := items[0].state.lane, items[:0]
		scratch = scratch[:0]
		for _, it := range items {
			if it.state.lane == lane {
				scratch = append(scratch, it)
			} else {
				rest = append(rest, it)
			}
		}
		lane.finish(ctx, scratch)
		items = rest
	}
	return scratch
}
