package pipeline

// Drain lets nothing new begin: what no worker has begun is dropped, what is
// running or finished before the first dropped record is still delivered. What
// was delivered out of order (order: none) pulls the records before it along, so
// that a clean drain is not done again.
func (p *Partition) Drain() {
	p.mu.Lock()
	if p.draining || p.closed {
		p.mu.Unlock()
		return
	}
	p.draining = true
	barrier := max(p.ring.commit, p.sentEnd)
	for barrier < p.ring.tail && p.ring.at(barrier).state != entryWaiting {
		barrier++
	}
	p.limit.Store(barrier)
	dropped := p.takeHeld(barrier)
	p.checkDrained()
	p.mu.Unlock()
	for _, it := range dropped {
		it.abandon()
	}
}

// retreat drops items, all of this partition, that a worker began and will not
// finish while the epoch drains: the barrier moves before them, so that nothing
// waits for them, and what is held behind them is dropped too.
func (p *Partition) retreat(items []*Item) {
	p.mu.Lock()
	var dropped []*Item
	if !p.closed {
		barrier := p.limit.Load()
		for _, it := range items {
			p.ring.at(it.state.seq).state = entryWaiting
			barrier = min(barrier, it.state.seq)
		}
		if p.draining {
			p.limit.Store(barrier)
			dropped = p.takeHeld(barrier)
			p.checkDrained()
		}
	}
	p.mu.Unlock()
	for _, it := range append(dropped, items...) {
		it.abandon()
	}
}

// Drained is closed when the partition is draining and every record before the
// barrier is settled, or when the partition is closed.
func (p *Partition) Drained() <-chan struct{} { return p.drained }

// Close ends the epoch (I3): when it returns, nothing of it reaches the sink and
// the position stands still. It waits for a Send that is under way, so it must
// not be called from within one; after Stop it returns at once.
func (p *Partition) Close() {
	if !p.close() {
		return
	}
	p.mu.Lock()
	for p.delivering {
		p.quiet.Wait()
	}
	p.mu.Unlock()
}

// Stop ends the epoch because delivery failed, and tells the source once. It may
// be called from within Send.
func (p *Partition) Stop(err error) {
	if p.close() && p.cfg.OnStop != nil {
		p.cfg.OnStop(err)
	}
}

// Closed says whether the epoch has ended.
func (p *Partition) Closed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// close raises the fence; it reports whether this call did.
func (p *Partition) close() bool {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return false
	}
	p.closed = true
	p.limit.Store(0)
	gated := 0
	for seq := p.ring.freed; seq < p.ring.tail; seq++ {
		if p.ring.at(seq).gated {
			gated++
		}
	}
	dropped := p.takeHeld(p.ring.freed)
	p.ring.entries, p.ready = nil, nil
	p.checkDrained()
	p.mu.Unlock()
	p.cfg.Gate.release(gated)
	for _, it := range dropped {
		it.abandon()
	}
	return true
}

// takeHeld takes the held items at and after a place out of the ring; mu is held.
func (p *Partition) takeHeld(from uint64) []*Item {
	var held []*Item
	for seq := from; seq < p.ring.tail; seq++ {
		if e := p.ring.at(seq); e.state == entryHeld {
			held = append(held, e.item)
			e.item, e.state = nil, entryRunning
		}
	}
	return held
}

// checkDrained closes drained when its condition holds; mu is held.
func (p *Partition) checkDrained() {
	if !p.isDrained && (p.closed || p.draining && p.ring.commit >= p.limit.Load()) {
		p.isDrained = true
		close(p.drained)
	}
}
