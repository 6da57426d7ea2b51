//go:build !race

package kafka

import (
	"testing"

	"github.com/sluice-ml/sluice/pipeline"
)

// The steady state costs nothing per record: what is allocated is per fetch.
// Not under the race detector, which makes sync.Pool forget on purpose.
func TestReceivingAllocatesNothingPerRecord(t *testing.T) {
	s, err := NewSource(nil, Config{Topics: []string{"in"}, Group: "g"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	g := newGeneration(s, 1, "m", []topicPartition{{"in", 0}})
	p := g.parts[0]
	p.lane, p.phase, p.begun = p.newLane(0), fetching, true
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
