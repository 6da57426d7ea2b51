package pipeline

import "errors"

// ErrRedo is what a transactional sink settles items with whose transaction was
// not committed: nothing is wrong with them or with the sink. Their partition's
// epoch ends, and the source begins a new one at the committed position at once.
var ErrRedo = errors.New("transaction not committed: the outcomes are made again")

// ErrSuperseded is another process that took this one's place: it is for good.
var ErrSuperseded = errors.New("replaced by another process of the same name")

// Written says that the broker has the outcomes of these items, which are of one pipeline,
// in a transaction that is not committed yet: their slots are free for others, so that
// decoding and running go on while it commits. The sink still settles each.
func Written(items []*Item) {
	if len(items) == 0 {
		return
	}
	eachLane(items, func(p *Partition, some []*Item) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.written += len(some)
		for _, it := range some {
			it.state.written = true
		}
	})
	if pipe := items[0].state.pipe; pipe != nil {
		pipe.slots.write(len(items))
	}
}

// Failing says that the epoch has ended, or ends as soon as the sink has nothing of it:
// its position moves no further, and what it has sent may be made again.
func (p *Partition) Failing() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed || p.failure != nil
}

// PositionAfter is the position that may be committed together with the outcome
// of it and of all items delivered before it: what Position will be when they are
// settled. It is for sinks that settle only what is committed, with ordered
// delivery. ok is false when the epoch has ended.
func (p *Partition) PositionAfter(it *Item) (position int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0, false
	}
	r := &p.ring
	at := it.state.seq
	position = r.at(at).next
	for at++; at < r.tail && r.at(at).state == entrySettled; at++ { // acknowledged without an outcome
		position = r.at(at).next
	}
	return position, true
}
