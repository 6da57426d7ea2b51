package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
)

// findRanges asks where the logs begin and end whose positions are not in them
// (code 1).
func (g *generation) findRanges(ctx context.Context, parts []*partition) {
	firsts := map[*partition]int64{}
	var known []*partition
	g.listOffsets(ctx, parts, kafkawire.EarliestOffset, func(p *partition, first int64, err error) {
		if err != nil {
			p.ranged(first, -1, err)
			return
		}
		firsts[p], known = first, append(known, p)
	})
	g.listOffsets(ctx, known, kafkawire.LatestOffset, func(p *partition, end int64, err error) {
		p.ranged(firsts[p], end, err)
	})
}

// ranged acts on a position that is not in the log.
func (p *partition) ranged(first, end int64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase != ranging {
		return
	}
	if err != nil {
		p.notBefore = time.Now().Add(p.again.NextBackOff())
		return
	}
	p.end, p.endAt = end, time.Now()
	p.phase, p.notBefore = fetching, time.Time{}
	defer nudge(p.fetcher.wake)
	switch {
	case p.fetchPos < first:
		p.gap(first, end)
	case p.fetchPos > end:
		p.truncated(first, end)
	default:
		// In range after all: the answer came from a broker that lagged behind.
		p.failing = time.Time{}
		p.notBefore = time.Now().Add(p.again.NextBackOff())
	}
}

// gap: retention deleted records before they were read. mu is held.
func (p *partition) gap(first, end int64) {
	err := fmt.Errorf("%d records are gone: next to read is offset %d, the log begins at %d", first-p.fetchPos, p.fetchPos, first)
	p.countLost(p.fetchPos, first)
	to := first
	switch p.g.s.cfg.OutOfRange {
	case OutOfRangeLatest:
		p.countLost(first, end)
		to = end
	case OutOfRangeStop:
		p.stop(reasonOutOfRange, err)
		return
	case OutOfRangeEarliest:
	}
	p.g.s.once.warn("records lost, going on behind them", err, "topic", p.topic, "partition", p.id, "resumed_at", to)
	p.push(chunk{skipTo: to})
	p.fetchPos, p.hot, p.failing = to, true, time.Time{}
	nudge(p.g.s.wake)
}

// truncated: the log ends before the position, so its tail was lost (an unclean
// election). What was there had been read; what replaces it has not. mu is held.
func (p *partition) truncated(first, end int64) {
	err := fmt.Errorf("the log was cut: next to read is offset %d, the log holds %d to %d", p.fetchPos, first, end)
	to := first
	switch p.g.s.cfg.OutOfRange {
	case OutOfRangeStop:
		p.stop(reasonOutOfRange, err)
		return
	case OutOfRangeLatest:
		to = end
	case OutOfRangeEarliest:
	}
	p.g.s.once.warn("log truncated, going on in it", err, "topic", p.topic, "partition", p.id, "resumed_at", to)
	p.endEpoch()
	p.lane = p.newLane(to)
	p.cur.position = to
	p.committed, p.openedAt, p.fetchPos, p.hot = -1, to, to, true
	p.failing = time.Time{}
}

// countLost counts the records of [from, to) once, however often the policy is
// tried. mu is held.
func (p *partition) countLost(from, to int64) {
	from = max(from, p.lostTo)
	if to > from {
		p.lost.Add(uint64(to - from))
		p.lostTo = to
	}
}
