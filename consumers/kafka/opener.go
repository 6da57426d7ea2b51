package kafka

import (
	"context"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
)

// openLoop brings partitions to where they can be fetched: it reads committed
// offsets, applies the start and out-of-range policies, finds leaders, reopens
// stopped partitions when they are due, and logs stops and resumptions. Ends
// with ctx.
func (g *generation) openLoop(ctx context.Context) {
	for ctx.Err() == nil {
		next := g.openDue(ctx)
		var due <-chan time.Time
		var t *time.Timer
		if !next.IsZero() {
			t = time.NewTimer(time.Until(next))
			due = t.C
		}
		select {
		case <-ctx.Done():
		case <-g.openWake:
		case <-due:
		}
		if t != nil {
			t.Stop()
		}
	}
}

// openDue does what is due; next is when something else will be.
func (g *generation) openDue(ctx context.Context) (next time.Time) {
	now := time.Now()
	var open, bounds []*partition
	for _, p := range g.parts {
		p.checkEpoch()
		p.mu.Lock()
		if p.due(now) {
			switch p.phase {
			case opening:
				open = append(open, p)
			case ranging:
				bounds = append(bounds, p)
			default:
			}
		}
		p.mu.Unlock()
	}
	if len(open) > 0 {
		g.openAll(ctx, open)
	}
	for _, p := range bounds {
		p.findRange(ctx)
	}
	for _, p := range g.parts {
		p.route(ctx)
		p.report()
		p.mu.Lock()
		waiting := p.phase == opening || p.phase == ranging || p.phase == routing
		if waiting && (next.IsZero() || p.notBefore.Before(next)) {
			next = p.notBefore
		}
		p.mu.Unlock()
	}
	return next
}

// checkEpoch ends an epoch whose delivery failed.
func (p *partition) checkEpoch() {
	failed := p.laneErr.Load()
	if failed == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase != closed && p.laneErr.Load() == failed {
		p.abandon(reasonOutput, *failed)
	}
}

// route finds the leader.
func (p *partition) route(ctx context.Context) {
	p.mu.Lock()
	ask := p.phase == routing && p.due(time.Now())
	p.mu.Unlock()
	if !ask {
		return
	}
	node, epoch, err := p.g.s.client.Leader(ctx, p.topic, p.id)
	if ctx.Err() != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase != routing {
		return
	}
	if err != nil || node < 0 {
		if err == nil {
			err = kafkawire.ErrLeaderNotAvailable
		}
		p.fetchFailed(err)
		return
	}
	p.node, p.leaderEpoch, p.phase = node, epoch, fetching
	p.fetcher = p.g.fetcherOf(ctx, node)
	nudge(p.fetcher.wake)
}
