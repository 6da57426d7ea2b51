package pipeline

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"
)

// chunkItems bounds what moves between goroutines at once: enough to make the
// hand-over cheap, few enough that all decoders get some; a guess.
const chunkItems = 64

// chunk is a group of items on its way to a decoder.
type chunk struct{ items []*Item }

var chunkPool = sync.Pool{New: func() any { return &chunk{items: make([]*Item, 0, chunkItems)} }}

func now() int64 { return time.Now().UnixNano() }

// nanos is a time in Unix milliseconds as nanoseconds. Times come from records,
// so any number may: those beyond the year 2262 are as late as can be said.
func nanos(ms int64) int64 {
	return min(max(ms, math.MinInt64/int64(time.Millisecond)), math.MaxInt64/int64(time.Millisecond)) * int64(time.Millisecond)
}

// receive takes items while slots are free (I4) and hands them to the decoders.
// It returns nil when ctx is done, else the source's error, io.EOF at its end.
func (p *Pipeline) receive(ctx context.Context, chunks chan<- *chunk) error {
	for {
		free, err := p.slots.wait(ctx)
		if err != nil {
			return nil //nolint:nilerr // the end of ctx is how a pipeline stops
		}
		items, err := p.source.Receive(ctx, free)
		if len(items) > free {
			panic("BUG: the source returned more items than were asked for")
		}
		p.admit(items)
		size := min(chunkItems, max(1, (len(items)+p.cfg.Decoders-1)/p.cfg.Decoders))
		for len(items) > 0 {
			n := min(size, len(items))
			c := chunkPool.Get().(*chunk)
			c.items = append(c.items[:0], items[:n]...)
			chunks <- c // the decoders take until it is closed
			items = items[n:]
		}
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
