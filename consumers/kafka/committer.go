package kafka

import (
	"context"
	"errors"
	"time"

	"github.com/sluice-ml/sluice/internal/failpoint"
	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/pipeline"
)

// commitGrace is how long a stop waits for the commit under way: far longer than a
// healthy coordinator takes, short against the time that a stop has. A guess.
const commitGrace = 2 * time.Second

// finalCommitPause is between two tries of the last commit of a generation.
const finalCommitPause = 50 * time.Millisecond

// commitLoop is the only committer of its generation (I3): every
// CommitInterval, at once when delivered but uncommitted outcomes reach their
// limit, and when a start position has to be kept. Ends with ctx.
func (g *generation) commitLoop(ctx context.Context) {
	s := g.s
	again := newBackoff(max(s.cfg.CommitInterval, 20*time.Millisecond), 2*time.Second)
	ticker := time.NewTicker(s.cfg.CommitInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.ending.Done():
			return
		case <-ticker.C:
		case <-s.commitWake:
		}
		if time.Now().Before(g.commit.next) {
			continue
		}
		if err := g.commitOnce(ctx); err != nil && ctx.Err() == nil {
			s.once.warn("commit failed, retrying", err, "generation", g.id)
			if lostMembership(err) {
				g.out(err)
			}
			g.commit.next = time.Now().Add(again.NextBackOff())
			continue
		}
		again.Reset()
	}
}

// out tells the member, once, that the coordinator does not know it any more.
func (g *generation) out(err error) {
	select {
	case g.lost <- err:
	default:
	}
}

// commitFinally is the last commit, tried again while ctx allows: after it the
// partitions belong to others. When it fails, they redo what it would have said;
// when it is cut short by Close, Close does it again.
func (g *generation) commitFinally(ctx context.Context) {
	if g.s.cfg.Transactions != nil {
		g.transactFinally(ctx)
		return
	}
	for {
		err := g.commitOnce(ctx)
		if err == nil {
			return
		}
		if !lostMembership(err) && pause(ctx, finalCommitPause) {
			continue
		}
		if !errors.Is(ctx.Err(), context.Canceled) {
			g.s.log.Warn("last commit of the generation failed: its outcomes since the one before are made again",
				"generation", g.id, "error", err)
		}
		return
	}
}

// commitOnce commits every position that moved. An error is the first one; what
// succeeded is noted all the same.
func (g *generation) commitOnce(ctx context.Context) error {
	if !g.collect() {
		return nil
	}
	s := g.s
	node, err := s.client.FindCoordinator(ctx, s.cfg.Group)
	if err != nil {
		return err
	}
	req := &g.commit.request
	req.Group, req.Generation, req.MemberID, req.InstanceID = s.cfg.Group, g.id, g.memberID, s.cfg.Instance
	failpoint.Here(failpoint.Committing)
	results, err := s.client.OffsetCommit(ctx, node, req)
	failpoint.Here(failpoint.Committed)
	if err != nil {
		if lostCoordinator(err) {
			s.client.ForgetCoordinator(s.cfg.Group)
		}
		return err
	}
	var first error
	for i := range results {
		if err := g.committed(i, &results[i]); err != nil && first == nil {
			first = err
		}
	}
	if first != nil && lostCoordinator(first) {
		s.client.ForgetCoordinator(s.cfg.Group)
	}
	if s.starved.CompareAndSwap(true, false) {
		nudge(s.wake) // the ring has room again
	}
	return first
}

// collect gathers the positions that are ahead of the group's (I2: only
// Position, never anything later), those of epochs that delivery ended among
// them: the partition is still this member's.
func (g *generation) collect() bool {
	c := &g.commit
	c.reset()
	for _, p := range g.parts {
		p.mu.Lock()
		p.progressed()
		p.finishOrphan()
		lane, position := p.lane, p.position()
		p.progress(position)
		switch {
		case p.running == "":
			// Not open yet: what the group has is not known, and stays.
		case p.orphan, p.unsure:
			if lane != nil {
				lane.Committed(position) // nothing is left to commit it to, perhaps
			}
		case position > p.committed || p.toSay():
			c.add(p, lane, position, p.says)
		}
		p.mu.Unlock()
	}
	return len(c.parts) > 0
}

// add adds a partition to what is committed. The partition's mutex is held.
func (c *committing) add(p *partition, lane *pipeline.Partition, position int64, metadata string) {
	c.parts, c.lanes, c.says = append(c.parts, p), append(c.lanes, lane), append(c.says, p.says)
	c.request.Offsets = append(c.request.Offsets, kafkawire.GroupOffset{
		Topic: p.topic, Partition: p.id, Offset: position, LeaderEpoch: -1, Metadata: metadata,
	})
}

// reset empties it for the next commit.
func (c *committing) reset() {
	c.parts, c.lanes, c.says, c.request.Offsets = c.parts[:0], c.lanes[:0], c.says[:0], c.request.Offsets[:0]
}

// done notes that partition i is committed.
func (c *committing) done(i int) {
	p, lane := c.parts[i], c.lanes[i]
	p.mu.Lock()
	defer p.mu.Unlock()
	if (p.lane == lane || lane == nil) && !p.orphan {
		p.committed = max(p.committed, c.request.Offsets[i].Offset)
		p.told(c.says[i])
	}
}

// doubt notes that nobody knows whether it is committed.
func (c *committing) doubt() {
	for _, p := range c.parts {
		p.mu.Lock()
		p.doubt = true
		p.mu.Unlock()
	}
}

// committed notes one partition's result.
func (g *generation) committed(i int, r *kafkawire.GroupOffset) error {
	p, lane := g.commit.parts[i], g.commit.lanes[i]
	switch r.Err {
	case kafkawire.ErrNone:
		g.commit.done(i)
		if lane != nil {
			lane.Committed(r.Offset)
		}
		return nil
	case kafkawire.ErrUnknownTopicOrPartition:
		// The topic is gone, and with it whatever a crash could repeat: let
		// delivery go on. It is tried again when the topic turns out to be there.
		p.mu.Lock()
		p.unsure = true
		p.mu.Unlock()
		nudge(g.watchWake)
		if lane != nil {
			lane.Committed(r.Offset)
		}
		g.s.once.warn("commit failed, retrying", r.Err, "topic", p.topic, "partition", p.id)
		return nil
	default:
		return r.Err
	}
}
