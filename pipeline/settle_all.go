package pipeline

// SettleAll is Settle(nil) for each of the items, which are of one pipeline: the sink
// calls it when the broker has a batch of outcomes. It costs one lock of a partition
// for each run of its items, one of the telemetry and one release of slots and bytes,
// where Settle costs that for each item: a seventh of all CPU of deploy/bench/nullsluice
// on small records. It does not keep the slice.
func SettleAll(items []*Item) {
	if len(items) == 0 {
		return
	}
	pipe := items[0].state.pipe
	for _, it := range items {
		if it.state.lane == nil || it.state.pipe != pipe || pipe == nil { // a source's or a sink's own test
			for _, it := range items {
				it.Settle(nil)
			}
			return
		}
	}
	eachLane(items, (*Partition).settleAll)
	pipe.endAll(items)
}

// settleAll is settled for items of this partition whose outcomes are durable; it
// leaves in each what became of it.
func (p *Partition) settleAll(items []*Item) {
	p.mu.Lock()
	for _, it := range items {
		it.state.outcome = it.final()
		if !p.settle(it, true) {
			it.state.outcome = Abandoned
		}
	}
	moved := !p.closed && p.advance()
	failure := p.failureDue()
	p.mu.Unlock()
	if failure != nil {
		p.Stop(failure)
	}
	if moved {
		p.afterAdvance()
	}
}

// endAll is end for items that have their outcome (I5).
func (p *Pipeline) endAll(items []*Item) {
	p.telemetry.settledAll(items)
	var outcomes [Abandoned + 1]int64
	outputs, written := int64(0), 0
	for _, it := range items {
		outcomes[it.state.outcome]++
		outputs += it.state.outputBytes
		if it.state.written {
			written++
		}
		it.recycle()
	}
	if outputs > 0 && p.cfg.Budget != nil {
		p.cfg.Budget.Release(outputs)
	}
	for o, n := range outcomes {
		if n > 0 {
			p.counts.add(Outcome(o), n)
		}
	}
	p.slots.release(len(items), written)
}
