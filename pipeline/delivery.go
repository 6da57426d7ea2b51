package pipeline

import "context"

// deliverChunk bounds one Send, so that a partition with much to deliver lets
// the buffers of the first items go early; a guess.
const deliverChunk = 64

// begin marks the items, all of this partition, as begun by a worker. Those that
// may not be begun any more (closed, or beyond the barrier of a drain) are
// marked dropped.
func (p *Partition) begin(items []*Item) {
	p.mu.Lock()
	defer p.mu.Unlock()
	limit := p.limit.Load()
	for _, it := range items {
		if it.state.seq >= limit {
			it.state.dropped = true
			continue
		}
		p.ring.at(it.state.seq).state = entryRunning
	}
}

// admits says whether the item is still worth work; it costs one atomic load.
func (p *Partition) admits(it *Item) bool { return it.state.seq < p.limit.Load() }

// finish takes items of this partition that have their outcome and delivers what
// may leave: in input order when ordered, else at once. It uses the slice.
func (p *Partition) finish(ctx context.Context, items []*Item) {
	dropped := items[:0]
	p.mu.Lock()
	p.pipe = items[0].state.pipe
	limit := p.limit.Load()
	for _, it := range items {
		if it.state.seq >= limit {
			dropped = append(dropped, it)
			continue
		}
		e := p.ring.at(it.state.seq)
		e.state, e.item = entryHeld, it
		if !p.cfg.Ordered {
			p.ready = append(p.ready, it.state.seq)
		}
	}
	p.mu.Unlock()
	for _, it := range dropped {
		it.abandon()
	}
	p.pump(ctx)
}

// pump sends what is deliverable, unless another goroutine does so already: that
// one sees what was added meanwhile, so that Send calls of a partition never
// overlap.
func (p *Partition) pump(ctx context.Context) {
	p.mu.Lock()
	if p.delivering {
		p.mu.Unlock()
		return
	}
	p.delivering = true
	blocked := false
	for {
		p.chunk, blocked = p.collect(p.chunk[:0])
		if len(p.chunk) == 0 {
			break
		}
		pipe := p.pipe
		p.mu.Unlock()
		pipe.deliver(ctx, p.chunk)
		p.mu.Lock()
	}
	p.delivering = false
	p.quiet.Broadcast()
	failure := p.failureDue()
	p.mu.Unlock()
	if failure != nil {
		p.Stop(failure)
	}
	if blocked {
		p.cfg.Gate.wake()
	}
}

// collect marks the next deliverable items as sent and appends them; blocked says
// that the gate let no more through. mu is held.
func (p *Partition) collect(chunk []*Item) (out []*Item, blocked bool) {
	if p.closed || p.failure != nil {
		return chunk, false // I3
	}
	if p.cfg.Ordered {
		return p.collectOrdered(chunk)
	}
	return p.collectReady(chunk)
}

func (p *Partition) collectOrdered(chunk []*Item) ([]*Item, bool) {
	r, limit := &p.ring, min(p.limit.Load(), p.ring.tail)
	for r.deliver < limit && len(chunk) < deliverChunk {
		e := r.at(r.deliver)
		if e.state == entrySettled { // settled without a pipeline
			r.deliver++
			continue
		}
		if e.state != entryHeld || p.stopsAt(e) {
			return chunk, false
		}
		if !p.cfg.Gate.take(p) {
			return chunk, true
		}
		r.deliver++
		chunk = append(chunk, p.send(e, r.deliver))
	}
	return chunk, false
}

func (p *Partition) collectReady(chunk []*Item) ([]*Item, bool) {
	taken, blocked := 0, false
	for _, seq := range p.ready {
		if len(chunk) == deliverChunk {
			break
		}
		e := p.ring.at(seq)
		if seq < p.ring.commit || e.state != entryHeld { // left past the gate, below
			taken++
			continue
		}
		if p.stopsAt(e) {
			break
		}
		if !p.cfg.Gate.take(p) {
			blocked = true
			break
		}
		taken++
		chunk = append(chunk, p.send(e, seq+1))
	}
	p.ready = append(p.ready[:0], p.ready[taken:]...)
	if blocked && len(chunk) == 0 && p.ring.freed == p.ring.commit && p.ring.commit < p.ring.tail {
		// Nothing can be committed before the first record is settled, so it
		// passes a full gate, which may so hold one more per partition.
		if e := p.ring.at(p.ring.commit); e.state == entryHeld {
			p.cfg.Gate.overdraw()
			chunk = append(chunk, p.send(e, p.ring.commit+1))
		}
	}
	return chunk, blocked
}

func (p *Partition) send(e *entry, end uint64) *Item {
	it := e.item
	e.item, e.state, e.gated = nil, entrySent, p.cfg.Gate != nil
	p.sentEnd = max(p.sentEnd, end)
	p.sent++
	return it
}

// afterAdvance asks for a commit if the gate is full, now that there is more to
// commit, and goes on with delivery where the head of the line may pass a full
// gate. Not from this goroutine: it is the sink's.
func (p *Partition) afterAdvance() {
	if !p.cfg.Gate.full() {
		return
	}
	p.cfg.Gate.wake()
	if p.cfg.Ordered {
		return
	}
	p.mu.Lock()
	waiting, pipe := len(p.ready) > 0, p.pipe
	p.mu.Unlock()
	if waiting && pipe != nil {
		pipe.resume.add(p)
	}
}

// resumeDelivery is called by the gate when it opened.
func (p *Partition) resumeDelivery() {
	p.mu.Lock()
	pipe := p.pipe
	p.mu.Unlock()
	if pipe != nil {
		pipe.resume.add(p)
	}
}

// stopsAt notes that a dead letter stops the partition (on_error: stop); mu is held.
func (p *Partition) stopsAt(e *entry) bool {
	if !e.item.stops() {
		return false
	}
	p.failure = stopError(e.item)
	return true
}

// refuse notes that the sink gave a record up: nothing more is delivered, and the
// partition stops when what the sink has already is settled.
func (p *Partition) refuse(seq uint64, err error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	if e := p.ring.at(seq); e.state == entrySent {
		p.sent--
		e.state = entryRefused
	}
	if p.failure == nil {
		p.failure = err
	}
	failure := p.failureDue()
	p.mu.Unlock()
	if failure != nil {
		p.Stop(failure)
	}
}

// failureDue is the reason to stop once everything that was sent is settled, so
// that none of it is done again; mu is held.
func (p *Partition) failureDue() error {
	if p.closed || p.delivering || p.sent > 0 {
		return nil
	}
	return p.failure
}
