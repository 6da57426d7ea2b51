package kafka

import (
	"context"
	"strconv"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/pipeline"
)

const (
	// unstablePause is between two looks at offsets that a transaction is about
	// to commit (code 88).
	unstablePause = 20 * time.Millisecond
	// offsetsTimeout bounds a question about offsets: partitions that are to be
	// opened next wait so long at most for a leader that is silent.
	offsetsTimeout = 5 * time.Second
)

// openAll reads the committed offsets of these partitions and opens each one
// whose offset is known.
func (g *generation) openAll(ctx context.Context, parts []*partition) {
	s := g.s
	meta, err := s.client.Metadata(ctx, s.cfg.Topics...)
	if err == nil {
		s.topics.see(meta)
		parts = g.present(meta, parts)
	}
	var offsets []kafkawire.GroupOffset
	if err == nil && len(parts) > 0 {
		offsets, err = s.client.OffsetFetch(ctx, s.cfg.Group, g.offsetsNeeded(meta, parts), true)
	}
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		if lostCoordinator(err) {
			s.client.ForgetCoordinator(s.cfg.Group)
		}
		s.once.warn("read committed offsets failed, retrying", err)
	}
	firsts := firstCounts(offsets, s.topics.counts())
	starts := map[int64][]epochStart{} // by what the leaders are asked for
	var unstable []*partition
	for _, p := range parts {
		switch o := findOffset(offsets, p.topicPartition); {
		case err != nil:
			p.later(err)
		case o == nil:
			p.later(kafkawire.ErrUnknown)
		case o.Err == kafkawire.ErrUnstableOffsetCommit:
			p.mu.Lock()
			p.notBefore = time.Now().Add(unstablePause)
			p.mu.Unlock()
			unstable = append(unstable, p)
		case o.Err != kafkawire.ErrNone:
			p.later(o.Err)
		default:
			e := epochStart{p: p, topicID: meta.Topic(p.topic).ID, at: o.Offset, committed: o.Offset, found: o.Metadata}
			if s.cfg.Start == StartLatest {
				e.metadata = firstMetadata(firsts[p.topic])
			}
			if ask := e.find(firsts[p.topic]); ask != 0 {
				starts[ask] = append(starts[ask], e)
			}
		}
	}
	for timestamp, list := range starts {
		g.openAt(ctx, timestamp, list)
	}
	if len(unstable) > 0 {
		g.inherit(ctx, unstable)
	}
}

// present leaves out the partitions that the cluster does not have now.
func (g *generation) present(meta *kafkawire.Metadata, parts []*partition) []*partition {
	kept := parts[:0]
	for _, p := range parts {
		t := meta.Topic(p.topic)
		switch {
		case t == nil || t.Err == kafkawire.ErrUnknownTopicOrPartition, t.Err == kafkawire.ErrNone && int(p.id) >= len(t.Partitions):
			p.later(kafkawire.ErrUnknownTopicOrPartition)
		case t.Err == kafkawire.ErrTopicAuthorization:
			p.later(t.Err)
		case len(t.Partitions) == 0:
			p.later(t.Err)
		default:
			kept = append(kept, p)
		}
	}
	return kept
}

// later tries to open again after a pause, and counts as a stop when it lasts.
func (p *partition) later(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase == closed {
		return
	}
	now := time.Now()
	p.unstableSince = time.Time{} // an outage is not the owner's silence
	if p.failing.IsZero() {
		p.failing = now
	}
	if p.trouble != nil || now.Sub(p.failing) >= graceBeforeStop {
		p.keepStopped(stopReason(err), err)
		return
	}
	p.notBefore = now.Add(p.again.NextBackOff())
}

// keepStopped stops, but keeps a reason that is there already. mu is held.
func (p *partition) keepStopped(reason string, err error) {
	if p.trouble != nil && p.trouble.reason != reasonUnavailable {
		reason, err = p.trouble.reason, p.trouble.err
	}
	p.stop(reason, err)
}

// offsetsNeeded asks for these partitions; with start: latest for all of their
// topics, to tell new partitions from ones the group has not begun yet.
func (g *generation) offsetsNeeded(meta *kafkawire.Metadata, parts []*partition) map[string][]int32 {
	need := map[string][]int32{}
	for _, p := range parts {
		if g.s.cfg.Start == StartEarliest {
			need[p.topic] = append(need[p.topic], p.id)
		} else if need[p.topic] == nil {
			for _, m := range meta.Topic(p.topic).Partitions {
				need[p.topic] = append(need[p.topic], m.ID)
			}
		}
	}
	return need
}

func findOffset(offsets []kafkawire.GroupOffset, tp topicPartition) *kafkawire.GroupOffset {
	for i := range offsets {
		if o := &offsets[i]; o.Partition == tp.id && o.Topic == tp.topic {
			return o
		}
	}
	return nil
}

// epochStart is where an epoch will begin.
type epochStart struct {
	p             *partition
	topicID       [16]byte
	at, committed int64
	metadata      string // to write
	found         string // what the group has
}

// find opens the partition at its committed offset. Where the policy decides
// instead, it returns the timestamp to ask the leader for; 0 is neither. first is
// how many partitions the topic had when the group began with it.
func (e epochStart) find(first int32) (timestamp int64) {
	p, s := e.p, e.p.g.s
	switch lost, replaced := s.topics.replaced(p.topicPartition); {
	case replaced && lost > 0 && s.cfg.OutOfRange == OutOfRangeStop:
		p.haltRecreated(lost)
		return 0
	case replaced, e.at < 0:
		// A committed offset of the old topic means nothing in the new one, and a
		// recreated topic is new: nobody has read it.
		if !replaced && s.cfg.Start == StartLatest && p.id < first {
			return kafkawire.LatestOffset
		}
		return kafkawire.EarliestOffset
	}
	p.open(e)
	return 0
}

// openAt opens partitions at an end of their logs.
func (g *generation) openAt(ctx context.Context, timestamp int64, starts []epochStart) {
	parts := make([]*partition, len(starts))
	of := make(map[*partition]*epochStart, len(starts))
	for i := range starts {
		parts[i] = starts[i].p
		of[parts[i]] = &starts[i]
	}
	g.listOffsets(ctx, parts, timestamp, func(p *partition, offset int64, err error) {
		if err != nil {
			p.later(err)
			return
		}
		e := of[p]
		e.at, e.committed, e.found = offset, -1, "" // so that the start itself is committed at once
		p.open(*e)
	})
}

// open begins the epoch.
func (p *partition) open(e epochStart) {
	p.mu.Lock()
	opened := p.phase == opening
	if opened {
		p.openHere(e)
	}
	deaths, at := p.deaths, p.from
	p.mu.Unlock()
	if opened && deaths >= companyDeaths {
		p.g.s.log.Warn("records suspected of killing the process: they run apart from all others", "topic", p.topic, "partition", p.id, "offset", at, "deaths", deaths)
	}
}

// openHere is open with mu held.
func (p *partition) openHere(e epochStart) {
	if p.settledTo > e.at && e.topicID == p.topicID && e.committed >= 0 {
		e.at = p.settledTo // its commit is still under way
	}
	p.settledTo, p.ended, p.unstableSince = 0, false, time.Time{}
	p.g.s.topics.settle(p.topicPartition)
	p.topicID, p.orphan, p.metadata = e.topicID, false, e.metadata
	p.committed, p.openedAt, p.fetchPos = e.committed, e.at, e.at
	p.cur.reset()
	p.cur.position = e.at
	p.lane = p.newLane(e.at)
	p.begin(e.at, e.committed, e.found)
	p.phase, p.hot, p.failing = routing, true, time.Time{}
	p.notBefore = time.Time{}
	nudge(p.g.routeWake)
	if e.committed < 0 {
		nudge(p.g.s.commitWake)
	}
}

// newLane makes the epoch. OnStop only leaves a note: it may come from under mu.
func (p *partition) newLane(at int64) *pipeline.Partition {
	cfg := &p.g.s.cfg
	return pipeline.NewPartition(pipeline.PartitionConfig{
		Topic: p.topic, ID: p.id, Start: at,
		Ring:    cfg.MaxUncommitted + cfg.MaxInFlight,
		Ordered: !cfg.Unordered,
		Gate:    p.g.s.gate,
		OnStop: func(err error) {
			p.laneErr.Store(&err)
			nudge(p.g.openWake)
		},
	})
}

// listOffsets asks the leaders of all these partitions at the same time, with a
// short patience; got is called for each as soon as its leader has answered, and
// not any more once ctx has ended.
func (g *generation) listOffsets(ctx context.Context, parts []*partition, timestamp int64, got func(p *partition, offset int64, err error)) {
	call, cancel := context.WithTimeout(ctx, offsetsTimeout)
	defer cancel()
	asks := make([]kafkawire.OffsetAsk, len(parts))
	for i, p := range parts {
		asks[i] = kafkawire.OffsetAsk{Topic: p.topic, Partition: p.id, Timestamp: timestamp}
	}
	g.s.client.ListOffsets(call, asks, !g.s.cfg.ReadUncommitted, func(i int, l kafkawire.ListedOffset) {
		if ctx.Err() == nil {
			got(parts[i], l.Offset, l.Err)
		}
	})
}

// The number of partitions a topic had when the group first started travels in
// the metadata of its commits. It tells a partition that was added later (it
// begins at its first record) from one that the group has not committed yet
// (start: latest holds), also after a restart.
const firstPrefix = "sluice.first="

func firstMetadata(n int32) string { return firstPrefix + strconv.Itoa(int(n)) }

// firstCounts is that number per topic: what the commits say; 0, so that every
// uncommitted partition is new, where others committed; and the count at start
// where nothing is committed.
func firstCounts(offsets []kafkawire.GroupOffset, initial map[string]int32) map[string]int32 {
	out := map[string]int32{}
	foreign := map[string]bool{}
	for _, o := range offsets {
		if o.Offset < 0 {
			continue
		}
		n, ok := metadataField(o.Metadata, firstPrefix)
		count, err := strconv.ParseInt(n, 10, 32)
		if !ok || err != nil {
			foreign[o.Topic] = true
			continue
		}
		if old, seen := out[o.Topic]; !seen || int32(count) < old {
			out[o.Topic] = int32(count)
		}
	}
	for topic, n := range initial {
		if _, ok := out[topic]; !ok && !foreign[topic] {
			out[topic] = n
		}
	}
	return out
}
