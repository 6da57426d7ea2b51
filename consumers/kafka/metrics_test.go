package kafka

import (
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/sluice-ml/sluice/pipeline"
)

// read collects and returns one series' value, as a scrape would; -1 when there
// is none.
func (r *reader) read(name string, labels map[string]string) float64 {
	scopes, err := r.reg.Produce(r.w.Context())
	if err != nil {
		r.w.Fatal(err)
	}
	matches := func(set attribute.Set) bool {
		for k, v := range labels {
			if got, ok := set.Value(attribute.Key(k)); !ok || got.AsString() != v {
				return false
			}
		}
		return true
	}
	for _, m := range scopes[0].Metrics {
		if m.Name != name {
			continue
		}
		switch data := m.Data.(type) {
		case metricdata.Sum[int64]:
			for _, p := range data.DataPoints {
				if matches(p.Attributes) {
					return float64(p.Value)
				}
			}
		case metricdata.Gauge[float64]:
			for _, p := range data.DataPoints {
				if matches(p.Attributes) {
					return p.Value
				}
			}
		}
	}
	return -1
}

func TestLagInRecordsAndSeconds(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(2)
		r := w.reader(w.config(), func(r *reader) { r.hold = holdAll })
		w.until(5*time.Second, "joined", func() bool { return r.assigned() == 2 })
		w.produce(1, 10)
		w.until(5*time.Second, "in hand", func() bool { return r.count() == 10 })
		time.Sleep(30 * time.Second)
		of := func(p int) map[string]string { return map[string]string{"topic": "in", "partition": strconv.Itoa(p)} }
		if got := r.read("sluice_lag_records", of(0)); got != 10 {
			w.Errorf("lag %v records, want 10", got)
		}
		if got := r.read("sluice_lag_seconds", of(0)); got < 30 || got > 32 {
			w.Errorf("lag %v s, want 30", got)
		}
		if got := r.read("sluice_lag_seconds", of(1)); got != 0 {
			w.Errorf("idle partition: lag %v s", got)
		}
		if got := r.read("sluice_received", of(0)); got != 10 {
			w.Errorf("received %v", got)
		}

		r.letGo(nil)
		time.Sleep(time.Second)
		if records, seconds := r.read("sluice_lag_records", of(0)), r.read("sluice_lag_seconds", of(0)); records != 0 || seconds != 0 {
			w.Errorf("lag %v records, %v s after all is done", records, seconds)
		}
	})
}

func TestFutureTimestampsAreNoNegativeLag(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(1)
		r := w.reader(w.config(), func(r *reader) { r.hold = holdAll })
		w.send(&kgo.Record{Topic: "in", Value: []byte("x"), Timestamp: time.Now().Add(time.Hour)})
		w.until(5*time.Second, "in hand", func() bool { return r.count() == 1 })
		if got := r.read("sluice_lag_seconds", map[string]string{"partition": "0"}); got != 0 {
			w.Errorf("lag %v s", got)
		}
	})
}

func TestStoppedPartitionsAreCountedByReason(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(1)
		w.produce(1, 10)
		w.commit(0, 0)
		if err := w.cluster.DeleteRecords("in", 0, 4); err != nil {
			w.Fatal(err)
		}
		r := w.reader(w.config())
		w.until(10*time.Second, "a stop", func() bool {
			return r.read("sluice_stopped_partitions", map[string]string{"reason": reasonOutOfRange}) == 1
		})
		if got := r.read("sluice_stopped_partitions", map[string]string{"reason": reasonOutput}); got != 0 {
			w.Errorf("another reason: %v", got)
		}
		if got := r.read("sluice_lost_records", map[string]string{"partition": "0"}); got != 4 {
			w.Errorf("lost %v", got)
		}
	})
}

// The steady state costs nothing per record: what is allocated is per fetch.
func TestReceivingAllocatesNothingPerRecord(t *testing.T) {
	s, err := NewSource(nil, Config{Topics: []string{"in"}, Group: "g"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	g := newGeneration(s, 1, "m", []topicPartition{{"in", 0}})
	p := g.parts[0]
	p.lane, p.phase = p.newLane(0), fetching
	const records = 1000
	batch := batchOf(t, 0, records, 0)
	items := make([]*pipeline.Item, 0, records)
	allocs := testing.AllocsPerRun(50, func() {
		base := p.cur.position
		for i := range 8 {
			batch[i] = byte(base >> (56 - 8*i))
		}
		data := s.memory.alloc(len(batch))
		copy(data, batch)
		s.memory.budget.Add(int64(cap(data)))
		whole := s.memory.lease(data, nil)
		p.mu.Lock()
		p.push(chunk{lease: whole.part(len(batch), &p.held), records: data[:len(batch)]})
		p.mu.Unlock()
		whole.Release()
		items, _ = g.take(items[:0], records, 1)
		if len(items) != records {
			t.Fatalf("%d items", len(items))
		}
		for _, it := range items {
			it.Settle(nil)
		}
		p.lane.Committed(p.lane.Position())
	})
	if allocs > records/20 {
		t.Errorf("%.0f allocations for %d records", allocs, records)
	}
}
