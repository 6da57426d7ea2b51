package kafka

import (
	"context"
	"errors"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/pipeline"
)

// Transactions commit positions together with the outcomes they rest on, in place
// of the committer (exactly-once).
type Transactions interface {
	// Transact runs one transaction. Of the outcomes that wait it takes some and
	// asks plan, at most once, what to commit with them: plan is told where they
	// move their epochs, and answers nil for nothing, or false when one of the
	// epochs has ended. more says that further outcomes wait. With an error nothing
	// is committed, or nobody knows: all that waited is settled with
	// pipeline.ErrRedo, and it must be called again. pipeline.ErrSuperseded is for
	// good. It is called from one goroutine at a time.
	Transact(ctx context.Context, plan func(moved map[*pipeline.Partition]int64) (*kafkawire.TxnOffsets, bool)) (more bool, err error)
	// Wanted says that a transaction is due ahead of the interval.
	Wanted() <-chan struct{}
	// Mend wants the markers of the last transaction of this name written again:
	// the group's positions wait for one that is missing.
	Mend()
	// Drop settles all that waits with an error: its epochs have ended.
	Drop(err error)
}

// transactGrace is what a transaction under way gets when its generation ends: a
// healthy one takes some 20 ms.
const transactGrace = time.Second

// transactLoop takes the committer's place: every CommitInterval, and when the
// sink wants it. A failed transaction does not end the generation. Ends with ctx.
func (g *generation) transactLoop(ctx context.Context) {
	s := g.s
	again := newBackoff(20*time.Millisecond, 2*time.Second)
	ticker := time.NewTicker(max(s.cfg.CommitInterval, time.Millisecond))
	defer ticker.Stop()
	var notBefore time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-s.commitWake:
		case <-s.cfg.Transactions.Wanted():
		}
		if time.Now().Before(notBefore) {
			continue
		}
		running, release := graceful(ctx)
		err := g.transactAll(running)
		release()
		switch {
		case err == nil:
			again.Reset()
		case ctx.Err() != nil:
			return
		default:
			s.once.warn("transaction failed, its outcomes are made again", err, "generation", g.id)
			g.consider(ctx, err)
			notBefore = time.Now().Add(again.NextBackOff())
		}
	}
}

// graceful is ctx that lasts a moment longer.
func graceful(ctx context.Context) (longer context.Context, release func()) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		pause(longer, transactGrace)
		cancel()
	})
	return longer, func() {
		stop()
		cancel()
	}
}

// transactAll runs transactions until nothing waits.
func (g *generation) transactAll(ctx context.Context) error {
	for {
		g.commit.reset()
		more, err := g.s.cfg.Transactions.Transact(ctx, g.plan)
		if err != nil {
			g.commit.doubt()
			return err
		}
		for i := range g.commit.parts {
			g.commit.done(i)
		}
		if !more {
			return nil
		}
	}
}

// plan gathers what a transaction commits: where its outcomes move their epochs,
// and the positions that moved without an outcome (I2). It is false when an epoch
// of the outcomes has ended: they must not be written.
func (g *generation) plan(moved map[*pipeline.Partition]int64) (*kafkawire.TxnOffsets, bool) {
	c, found := &g.commit, 0
	for _, p := range g.parts {
		p.mu.Lock()
		p.progressed()
		p.finishOrphan()
		lane, position := p.lane, p.position()
		// Outcomes whose position may not be committed now must not be written either.
		if to, ok := moved[lane]; ok && !p.unsure {
			position = to
			found++
		}
		p.progress(position)
		switch {
		case p.running == "", p.orphan, p.unsure, position <= p.committed && !p.toSay():
			// As the committer: not open yet, or nothing to commit it to.
		default:
			c.add(p, lane, position, withOwner(p.says, g.s.cfg.TransactionalID))
		}
		p.mu.Unlock()
	}
	if found < len(moved) {
		return nil, false
	}
	if len(c.parts) == 0 {
		return nil, true
	}
	return &kafkawire.TxnOffsets{
		Group: g.s.cfg.Group, Generation: g.id, MemberID: g.memberID, InstanceID: g.s.cfg.Instance,
		Offsets: c.request.Offsets,
	}, true
}

// consider draws the consequences of a failed transaction for the membership.
func (g *generation) consider(ctx context.Context, err error) {
	var refused *kafkawire.OffsetsError
	if errors.As(err, &refused) {
		g.unsure(refused)
	}
	switch {
	case lostMembership(err), errors.Is(err, pipeline.ErrSuperseded):
		g.out(err)
	case isCode(err, kafkawire.ErrProducerFenced, kafkawire.ErrInvalidProducerEpoch):
		// Somebody took the transactional id: ask the group whose name it is.
		if err := g.ask(ctx); lostMembership(err) {
			g.out(err)
		}
	}
}

// ask tells the coordinator that this member is alive, and hears whether it still is one.
func (g *generation) ask(ctx context.Context) error {
	s := g.s
	call, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	node, err := s.client.FindCoordinator(call, s.cfg.Group)
	if err != nil {
		return err
	}
	return s.client.Heartbeat(call, node, s.cfg.Group, g.id, g.memberID, s.cfg.Instance)
}

// unsure notes the partitions whose topic the coordinator does not know any more.
func (g *generation) unsure(refused *kafkawire.OffsetsError) {
	for i := range refused.Offsets {
		o := &refused.Offsets[i]
		if o.Err != kafkawire.ErrUnknownTopicOrPartition {
			continue
		}
		for _, p := range g.parts {
			if p.id == o.Partition && p.topic == o.Topic {
				p.mu.Lock()
				p.unsure = true
				p.mu.Unlock()
			}
		}
		nudge(g.watchWake)
	}
}

// transactFinally is the last transaction of a generation.
func (g *generation) transactFinally(ctx context.Context) {
	if err := g.transactAll(ctx); err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		g.s.log.Warn("last transaction of the generation failed: its outcomes are made again", "generation", g.id, "error", err)
	}
}

// redo begins a new epoch at the committed position, at once: a transaction was
// not committed. mu is held.
func (p *partition) redo() {
	p.endEpoch()
	p.phase, p.notBefore = opening, time.Time{}
}
