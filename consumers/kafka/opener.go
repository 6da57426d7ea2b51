package kafka

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/sluice-ml/sluice/pipeline"
)

// openLoop begins the epochs of partitions: it reads committed offsets, applies
// the start and out-of-range policies, reopens stopped partitions when they are
// due, and logs stops and resumptions. Ends with ctx.
func (g *generation) openLoop(ctx context.Context) { g.repeat(ctx, g.openWake, g.openDue) }

// routeLoop finds the leaders of open partitions. It is a loop of its own, so that
// a partition whose leader has moved never waits for the start of another. Ends
// with ctx.
func (g *generation) routeLoop(ctx context.Context) { g.repeat(ctx, g.routeWake, g.routeDue) }

// wakeOpeners makes both loops look at the partitions.
func (g *generation) wakeOpeners() {
	nudge(g.openWake)
	nudge(g.routeWake)
}

// repeat does what is due when woken, and at the time that do named last.
func (g *generation) repeat(ctx context.Context, wake <-chan struct{}, do func(ctx context.Context) (next time.Time)) {
	for ctx.Err() == nil {
		next := do(ctx)
		var due <-chan time.Time
		var t *time.Timer
		if !next.IsZero() {
			t = time.NewTimer(time.Until(next))
			due = t.C
		}
		select {
		case <-ctx.Done():
		case <-wake:
		case <-due:
		}
		if t != nil {
			t.Stop()
		}
	}
}

// openDue does what is due; next is when something else will be.
func (g *generation) openDue(ctx context.Context) (next time.Time) {
	for _, p := range g.parts {
		p.checkEpoch()
		p.report()
	}
	if open, _ := g.due(opening); len(open) > 0 {
		g.openAll(ctx, open)
	}
	if bounds, _ := g.due(ranging); len(bounds) > 0 {
		g.findRanges(ctx, bounds)
	}
	for _, p := range g.parts {
		p.report()
	}
	_, next = g.due(opening, ranging)
	return next
}

// due lists the partitions in these phases whose time has come, and says when the
// first one of the others is due.
func (g *generation) due(phases ...phase) (now []*partition, next time.Time) {
	at := time.Now()
	for _, p := range g.parts {
		p.mu.Lock()
		switch {
		case !slices.Contains(phases, p.phase):
		case p.due(at):
			now = append(now, p)
			next = at
		case next.IsZero() || p.notBefore.Before(next):
			next = p.notBefore
		}
		p.mu.Unlock()
	}
	return now, next
}

// checkEpoch ends an epoch whose delivery failed.
func (p *partition) checkEpoch() {
	failed := p.laneErr.Load()
	if failed == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.phase == closed || p.laneErr.Load() != failed:
	case errors.Is(*failed, pipeline.ErrRedo):
		p.redo()
	default:
		p.abandon(reasonOutput, *failed)
	}
}

// routeDue finds the leaders of the partitions that wait for one. The cluster is
// asked once for all of them: partitions without a leader, however many, do not
// hold up those that have one.
func (g *generation) routeDue(ctx context.Context) (next time.Time) {
	waiting, next := g.due(routing)
	if len(waiting) == 0 {
		return next
	}
	ask := map[string]bool{}
	for _, p := range waiting {
		if _, _, fresh, _ := g.s.client.CachedLeader(p.topic, p.id); !fresh {
			ask[p.topic] = true
		}
	}
	var failed error
	if len(ask) > 0 {
		failed = g.s.client.FindLeaders(ctx, slices.Collect(maps.Keys(ask))...)
	}
	if ctx.Err() != nil {
		return time.Time{}
	}
	for _, p := range waiting {
		node, epoch, _, err := g.s.client.CachedLeader(p.topic, p.id)
		if ask[p.topic] && failed != nil {
			err = failed
		}
		p.route(ctx, node, epoch, err)
	}
	_, next = g.due(routing)
	return next
}

// route goes on to fetch from the leader, or counts the failure to find one.
func (p *partition) route(ctx context.Context, node, epoch int32, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase != routing {
		return
	}
	if err != nil {
		p.fetchFailed(err)
		return
	}
	p.node, p.leaderEpoch, p.phase = node, epoch, fetching
	p.fetcher = p.g.fetcherOf(ctx, node)
	nudge(p.fetcher.wake)
}
