package pipeline

import (
	"context"
	"errors"
	"math"
	"time"
)

// chunkItems bounds what a decoder takes at once where others run the batches: few
// enough that all decoders get some and the batcher sees them soon; a guess.
const chunkItems = 64

func now() int64 { return time.Now().UnixNano() }

// nanos is a time in Unix milliseconds as nanoseconds. Times come from records,
// so any number may: those beyond the year 2262 are as late as can be said.
func nanos(ms int64) int64 {
	return min(max(ms, math.MinInt64/int64(time.Millisecond)), math.MaxInt64/int64(time.Millisecond)) * int64(time.Millisecond)
}

// receive takes items while slots are free (I4) and puts them into the inbox.
// It returns nil when ctx is done, else the source's error, io.EOF at its end.
func (p *Pipeline) receive(ctx context.Context) error {
	for {
		free, err := p.slots.wait(ctx)
		if err != nil {
			return nil //nolint:nilerr // the end of ctx is how a pipeline stops
		}
		room, err := p.inbox.space(ctx)
		if err != nil {
			return nil //nolint:nilerr // the same
		}
		free = min(free, room)
		items, err := p.source.Receive(ctx, free)
		if len(items) > free {
			panic("BUG: the source returned more items than were asked for")
		}
		p.admit(items)
		p.inbox.put(items)
		switch {
		case err == nil:
		case ctx.Err() != nil && errors.Is(err, context.Cause(ctx)), ctx.Err() != nil && errors.Is(err, ctx.Err()):
			return nil
		default:
			return err
		}
	}
}

// admit takes a slot for each item and makes it the pipeline's.
func (p *Pipeline) admit(items []*Item) {
	p.slots.take(len(items))
	p.counts.received.Add(int64(len(items)))
	var last *Partition
	for _, it := range items {
		if it.state.lane == nil {
			panic("BUG: the source returned an item that no partition tracks")
		}
		it.state.pipe = p
		if it.FetchedAt == 0 {
			it.FetchedAt = now()
		}
		if it.state.lane != last {
			last = it.state.lane
			p.lanes.add(last)
		}
	}
}
