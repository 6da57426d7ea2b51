package kafka

import (
	"strconv"
	"time"

	"github.com/sluice-ml/sluice/internal/metrics"
)

// sourceMetrics are the numbers of the input side; gauges are computed when
// somebody reads them.
type sourceMetrics struct {
	received, lost, lagRecords, lagSeconds, stopped metrics.Vec
}

func newSourceMetrics(r *metrics.Registry) *sourceMetrics {
	return &sourceMetrics{
		received:   r.Counter("sluice_received", "Records taken from the input.", "topic", "partition"),
		lost:       r.Counter("sluice_lost_records", "Records that were gone before they were read (retention, a recreated topic).", "topic", "partition"),
		lagRecords: r.Gauge("sluice_lag_records", "Records between the committed position and the end of the partition.", "topic", "partition"),
		lagSeconds: r.Gauge("sluice_lag_seconds", "Age of the oldest record that is not settled.", "topic", "partition"),
		stopped:    r.Gauge("sluice_stopped_partitions", "Partitions that stand still, by reason.", "reason"),
	}
}

func (tp topicPartition) labels() (topic, id string) {
	return tp.topic, strconv.Itoa(int(tp.id))
}

func (m *sourceMetrics) receivedOf(tp topicPartition) *metrics.Series {
	return m.received.With(tp.labels())
}
func (m *sourceMetrics) lostOf(tp topicPartition) *metrics.Series { return m.lost.With(tp.labels()) }

// forget drops the gauges of a partition that is no longer ours; counters stay.
func (m *sourceMetrics) forget(tp topicPartition) {
	m.lagRecords.Remove(tp.labels())
	m.lagSeconds.Remove(tp.labels())
}

// collect refreshes the gauges.
func (s *Source) collect() {
	counts := map[string]int{}
	for reason := range cures {
		counts[reason] = 0
	}
	if g := s.gen.Load(); g != nil && g.live.Load() {
		now := time.Now()
		for _, p := range g.parts {
			records, age := p.lag(now)
			s.metrics.lagRecords.With(p.labels()).Set(float64(records))
			s.metrics.lagSeconds.With(p.labels()).Set(age.Seconds())
			p.mu.Lock()
			if p.trouble != nil {
				counts[p.trouble.reason]++
			}
			p.mu.Unlock()
		}
	}
	for reason, n := range counts {
		s.metrics.stopped.With(reason).Set(float64(n))
	}
}

// lag is how far the group is behind: in records up to the end last heard of,
// and in time as the age of the oldest record not settled. A record's clock may
// be ahead of ours: never below 0.
func (p *partition) lag(now time.Time) (records int64, age time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.committed
	if at < 0 {
		at = p.openedAt
	}
	if p.end >= 0 {
		records = max(p.end-at, 0)
	}
	oldest := p.oldestSeen
	if p.lane != nil {
		if _, ts, ok := p.lane.Oldest(); ok {
			oldest = ts
		} else if p.fetchPos >= p.end && p.queued == 0 {
			oldest = 0
		}
	}
	p.oldestSeen = oldest
	if oldest > 0 && (records > 0 || p.lane == nil) {
		age = max(now.Sub(time.UnixMilli(oldest)), 0)
	}
	return records, age
}
