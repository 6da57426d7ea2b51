package pipeline

// Settle ends the item: the sink calls it exactly once, from any goroutine, and
// does not touch the item afterwards. Nil means that the outcome is durable (I1):
// it is counted, the slot and the bytes are free, and the partition's position
// moves over the settled prefix. An error means that the sink gave up: the item is
// abandoned, so that it comes again, and its partition stops as soon as what the
// sink has of it is settled.
func (it *Item) Settle(err error) {
	lane, outcome := it.state.lane, it.final()
	if lane != nil {
		if err != nil {
			lane.refuse(it.state.seq, err)
		}
		if !lane.settled(it, err == nil) {
			outcome = Abandoned
		}
	}
	it.end(outcome)
}

// final is what a durable outcome makes of the item.
func (it *Item) final() Outcome {
	if it.state.outcome == Predicted && it.Err != nil {
		return DeadLettered // the sink could not write the output: too large
	}
	return it.state.outcome
}

// abandon drops an item that was never acknowledged: it will come again.
func (it *Item) abandon() {
	if it.state.lane != nil {
		it.state.lane.settled(it, false)
	}
	it.end(Abandoned)
}

// end counts the outcome and gives everything the item holds back (I5: it is
// the only way out of the pipeline).
func (it *Item) end(outcome Outcome) {
	pipe := it.state.pipe
	if pipe == nil { // a source's own test: no pipeline took it
		it.recycle()
		return
	}
	written := 0
	if it.state.written {
		written = 1
	}
	pipe.telemetry.settled(it, outcome)
	if it.state.outputBytes > 0 && pipe.cfg.Budget != nil {
		pipe.cfg.Budget.Release(it.state.outputBytes)
	}
	it.recycle()
	pipe.counts.add(outcome, 1)
	pipe.slots.release(1, written)
}
