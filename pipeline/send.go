package pipeline

import "context"

// deliver hands items, all of one partition, to the sink in their order. What is
// only acknowledged settles here, in its turn.
func (p *Pipeline) deliver(ctx context.Context, items []*Item) {
	at, outgoing := now(), items[:0]
	for _, it := range items {
		it.state.sentAt = at
		if it.state.ackOnly {
			it.Settle(nil)
			continue
		}
		p.tracing.send(it)
		outgoing = append(outgoing, it)
	}
	if len(outgoing) > 0 {
		p.sink.Send(ctx, outgoing)
	}
}
