package pipeline

import (
	"context"
	"fmt"

	"github.com/sluice-ml/sluice/schemas"
)

// clockItems is how many items are decoded between two looks at the clock, which
// cost as much as decoding a small record does; each gets an equal part of the time.
const clockItems = 16

// decoder decodes items. Owned by one goroutine.
type decoder struct {
	p       *Pipeline
	staging staging
	items   []*Item // taken from the inbox
	rest    []*Item // of them, not decoded yet
	each    int64   // bytes of inputs of each of the last ones
	done    []*Item
	scratch []*Item
}

// decodeAll decodes until nothing more comes, for workers that do not.
func (p *Pipeline) decodeAll(ctx context.Context) {
	d := decoder{p: p}
	for ok := true; ok; {
		if d.items, ok = p.inbox.next(d.items[:0], p.chunk); !ok {
			return
		}
		for d.rest = d.items; len(d.rest) > 0; {
			// Workers take what waits without a decoder's help, so this ends.
			_ = p.batcher.waiting.Reserve(ctx, 0)
			p.batcher.add(d.decode(ctx, d.rest), now())
		}
	}
}

// chunk is how many waiting items one of so many decoders takes: few enough that
// all get some.
func (p *Pipeline) chunk(waiting, takers int) int {
	return min(chunkItems, (waiting+takers-1)/takers)
}

// pieceBytes ends a piece early: what is decoded ahead of a run takes memory, which one
// record may need thousands of times as much of as another.
const pieceBytes = 4 << 20

// decode decodes the items, or the first of them when those have pieceBytes of inputs;
// the others are left in rest. What needs no model goes straight to its partition; what
// does is returned: the same slice.
func (d *decoder) decode(ctx context.Context, items []*Item) (ready []*Item) {
	ready, d.done = items[:0], d.done[:0]
	d.staging.begin()
	at, bytes := now(), int64(0)
	for len(items) > 0 && bytes < pieceBytes {
		n := min(clockItems, len(items))
		if d.each > 0 { // as large as the last ones
			n = min(n, max(1, int((pieceBytes-bytes)/d.each)))
		}
		part := items[:n]
		items = items[n:]
		from, before := at, bytes
		for i, it := range part {
			if !it.state.lane.admits(it) {
				part[i] = nil
				it.abandon()
				continue
			}
			it.state.decodeAt = from
			it.state.needsModel = d.p.decode(it, from, &d.staging)
			if !it.state.staged {
				bytes += inputBytes(it)
			}
		}
		at = now()
		d.each = (bytes - before) / int64(n)
		ready = d.sort(part, ready, from, at)
	}
	d.rest = items
	d.scratch = finishAll(ctx, d.done, d.scratch)
	return ready
}

// sort gives the items their share of the time they took and parts them.
func (d *decoder) sort(part, ready []*Item, from, to int64) []*Item {
	each := (to - from) / int64(len(part))
	for i, it := range part {
		if it == nil {
			continue
		}
		it.state.decodeAt = from + int64(i)*each
		it.state.decodedAt = it.state.decodeAt + each
		if it.state.needsModel {
			ready = append(ready, it)
		} else {
			d.done = append(d.done, it)
		}
	}
	return ready
}

// decode fills the item's request; false says that the item has its outcome.
func (p *Pipeline) decode(it *Item, at int64, rows *staging) (needsModel bool) {
	p.tracing.begin(it)
	if it.Err != nil { // the source refused it: too large, damaged headers
		it.state.outcome = DeadLettered
		return false
	}
	if it.Value == nil {
		p.tombstone(it)
		return false
	}
	rows.lend(it)
	if err := p.decodeRecord(it); err != nil {
		rows.refuse(it)
		it.fail(err)
		return false
	}
	if it.expired(at) {
		rows.refuse(it)
		p.expire(it, schemas.StageDecode)
		return false
	}
	rows.keep(it)
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
