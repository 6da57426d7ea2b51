package main

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
	"github.com/sluice-ml/sluice/internal/load"
	"github.com/sluice-ml/sluice/pipeline"
)

// lanes is how many partitions the records come from.
const lanes = lab.Partitions

// source hands out a payload's records from memory, over and over, until its time is over: a topic that is fetched
// without cost. Only the pipeline's receiving goroutine uses it.
type source struct {
	values [][]byte
	ends   time.Time
	sent   int64 // records handed out; record i is of partition i mod lanes
	parts  [lanes]*pipeline.Partition
	items  []*pipeline.Item
}

func newSource(values [][]byte, inFlight int, ends time.Time) *source {
	s := &source{values: values, ends: ends}
	for i := range s.parts {
		// Room for all that may be in flight, so that the slots alone bound it.
		s.parts[i] = pipeline.NewPartition(pipeline.PartitionConfig{Topic: "in", ID: int32(i), Ring: inFlight + 1, Ordered: true})
	}
	return s
}

// Receive implements pipeline.Source.
func (s *source) Receive(_ context.Context, limit int) ([]*pipeline.Item, error) {
	s.items = s.items[:0]
	at := time.Now()
	if at.After(s.ends) {
		return nil, io.EOF
	}
	for range limit {
		lane := s.parts[s.sent%lanes]
		if lane.Free() == 0 {
			break // settled out of turn: what is free comes next time
		}
		it := pipeline.NewItem()
		row := int(s.sent % int64(len(s.values)))
		it.Topic, it.Partition, it.Offset = "in", int32(s.sent%lanes), s.sent/lanes
		it.Key, it.Value = lab.Key(row), s.values[row]
		it.Timestamp, it.FetchedAt = at.UnixMilli(), at.UnixNano()
		lane.Track(it, it.Offset+1)
		s.sent++
		s.items = append(s.items, it)
	}
	return s.items, nil
}

// sink keeps every outcome, as a producer's batch would, and settles at once. Safe for concurrent use.
type sink struct {
	began time.Time

	mu      sync.Mutex
	values  []byte // the chunk that is being filled
	kept    []outcome
	failed  int
	why     string // of the first that failed
	latency *load.Histogram
	rows    int64 // sum of the batches' sizes, by row
}

// outcome is one record's output and when it came, in nanoseconds from the beginning.
type outcome struct {
	key   string
	value []byte
	at    int64
}

// chunk is the size of the memory that outputs are copied into.
const chunk = 4 << 20

func newSink() *sink { return &sink{began: time.Now(), latency: load.NewHistogram()} }

// Send implements pipeline.Sink.
func (s *sink) Send(_ context.Context, items []*pipeline.Item) {
	at := time.Now()
	s.mu.Lock()
	for _, it := range items {
		it.ProducedAt = at.UnixNano()
		if it.Err != nil {
			s.failed++
			s.why = it.Err.Error()
			continue
		}
		if len(it.Output) > cap(s.values)-len(s.values) {
			s.values = make([]byte, 0, max(chunk, len(it.Output)))
		}
		from := len(s.values)
		s.values = append(s.values, it.Output...)
		s.kept = append(s.kept, outcome{string(it.Key), s.values[from:len(s.values):len(s.values)], int64(at.Sub(s.began))})
		s.latency.Record(time.Duration(at.UnixNano() - it.FetchedAt))
		s.rows += int64(it.BatchRows)
	}
	s.mu.Unlock()
	pipeline.SettleAll(items)
}

// Flush implements pipeline.Sink.
func (*sink) Flush(context.Context) error { return nil }

// rate is outcomes a second from the beginning to the last one: with outcomes in order, one batch that is late lets many
// come at once, so that no part of the time can be left out.
func (s *sink) rate() float64 {
	if len(s.kept) == 0 {
		return 0
	}
	return float64(len(s.kept)) / (float64(s.kept[len(s.kept)-1].at) / 1e9)
}
