package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
)

// minWatchInterval is the brake: however often fetches ask for a look at the
// metadata, and however often a topic comes and goes, the group is disturbed at
// most this often.
const minWatchInterval = time.Second

// watchLoop compares the topics with the cluster. A topic that is missing
// changes nothing: its partitions wait. The leader rejoins, once, when a topic
// has another number of partitions than it assigned; every member notices a
// topic that was deleted and made anew by its id. Ends with ctx.
func (g *generation) watchLoop(ctx context.Context) {
	last := time.Now()
	for ctx.Err() == nil {
		t := time.NewTimer(g.s.cfg.WatchInterval)
		select {
		case <-ctx.Done():
		case <-t.C:
		case <-g.watchWake:
			pause(ctx, minWatchInterval-time.Since(last))
		}
		t.Stop()
		if ctx.Err() != nil {
			return
		}
		last = time.Now()
		g.look(ctx)
	}
}

func (g *generation) look(ctx context.Context) {
	s := g.s
	names := s.cfg.Topics
	if g.leader {
		names = sortedKeys(g.counts)
	}
	meta, err := s.client.Metadata(ctx, names...)
	if err != nil {
		if ctx.Err() == nil {
			s.once.warn("watch topics failed, retrying", err)
		}
		return
	}
	s.topics.see(meta)
	for i := range meta.Topics {
		t := &meta.Topics[i]
		if t.Err != kafkawire.ErrNone || len(t.Partitions) == 0 {
			continue
		}
		for _, p := range g.parts {
			if p.topic == t.Name {
				p.compare(t.ID)
			}
		}
		if n := int32(len(t.Partitions)); g.leader && n != g.counts[t.Name] {
			s.log.Info("partitions changed, rebalancing", "topic", t.Name, "had", g.counts[t.Name], "has", n)
			g.counts[t.Name] = n
			nudge(g.rejoin)
		}
	}
	g.refreshEnds(ctx)
}

// compare marks the partition when its topic is another one now: nothing of the
// old topic is fetched or committed any more, what was fetched is finished.
func (p *partition) compare(id [16]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var none [16]byte
	if p.lane == nil || p.phase == closed || p.orphan || id == none || p.topicID == none {
		return
	}
	if id == p.topicID {
		p.unsure = false
		return
	}
	p.orphan = true
	nudge(p.g.s.commitWake) // the committer's round finishes it
}

// finishOrphan goes over to the new topic once nothing of the old one is left
// in flight. mu is held.
func (p *partition) finishOrphan() {
	if !p.orphan || p.lane == nil || p.phase == closed || p.queued > 0 || p.head.lease != nil || p.lane.InFlight() > 0 {
		return
	}
	lost := max(p.end-p.fetchPos, 0)
	p.countLost(p.fetchPos, p.fetchPos+lost)
	p.g.s.topics.recreated(p.topicPartition, lost)
	p.endEpoch()
	p.attempt = attempt{} // of the old topic
	p.lostTo = 0
	p.end, p.orphan = -1, false
	p.phase, p.notBefore, p.failing = opening, time.Time{}, time.Time{}
	if p.trouble != nil && p.trouble.reason == reasonMissing {
		p.recover()
	}
	nudge(p.g.openWake)
}

// noteOrphan remembers, when the generation ends first, what finishOrphan would
// have: the next one must not begin in the new topic where this one stood in the
// old. mu is held.
func (p *partition) noteOrphan() {
	if p.orphan && p.lane != nil {
		p.g.s.topics.recreated(p.topicPartition, max(p.end-p.lane.Position(), 0))
	}
}

// haltRecreated stops a partition whose old topic had unread records: they are
// gone, and only an operator can say that this is all right.
func (p *partition) haltRecreated(lost int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase == opening {
		p.halt(reasonRecreated, fmt.Errorf("the topic was deleted with %d records not read, and made anew", lost))
	}
}

// refreshEnds asks for the log ends of partitions that are not being fetched,
// so that their lag stays true.
func (g *generation) refreshEnds(ctx context.Context) {
	var stale []*partition
	for _, p := range g.parts {
		p.mu.Lock()
		if p.phase != closed && !p.missing && !p.orphan && time.Since(p.endAt) > g.s.cfg.WatchInterval {
			stale = append(stale, p)
		}
		p.mu.Unlock()
	}
	g.listOffsets(ctx, stale, kafkawire.LatestOffset, func(p *partition, end int64, err error) {
		if err != nil {
			return
		}
		p.mu.Lock()
		p.end, p.endAt = max(end, p.end), time.Now()
		p.mu.Unlock()
	})
}
