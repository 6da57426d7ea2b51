package pipeline

import (
	"errors"
	"testing"
)

func TestPositionAfterCoversWhatIsSettledBehindIt(t *testing.T) {
	t.Parallel()
	p := NewPartition(PartitionConfig{Topic: "in", Start: 10, Ring: 16, Ordered: true})
	items := make([]*Item, 5)
	for i := range items {
		items[i] = NewItem()
		items[i].Offset = int64(10 + 2*i)
		p.Track(items[i], items[i].Offset+1)
	}
	p.SkipTo(25)
	p.mu.Lock()
	for _, it := range items[:3] {
		p.ring.at(it.state.seq).state = entrySent
	}
	p.mu.Unlock()
	items[1].Settle(nil) // needs no outcome

	for last, want := range map[int]int64{0: 13, 2: 15} {
		if got, ok := p.PositionAfter(items[last]); !ok || got != want {
			t.Errorf("after item %d: %d, %v; want %d", last, got, ok, want)
		}
	}
	if p.Position() != 10 {
		t.Errorf("the position moved to %d before anything was settled", p.Position())
	}
	items[0].Settle(nil)
	last, _ := p.PositionAfter(items[2])
	items[2].Settle(nil)
	if p.Position() != last {
		t.Errorf("position %d, announced was %d", p.Position(), last)
	}
	items[3].Settle(nil)
	if got, ok := p.PositionAfter(items[4]); !ok || got != 25 {
		t.Errorf("after the last item: %d, %v; want the end of its batch, 25", got, ok)
	}
	p.Close()
	if _, ok := p.PositionAfter(items[4]); ok {
		t.Error("an ended epoch has a position to commit")
	}
}

func TestRedoEndsTheEpochOnce(t *testing.T) {
	t.Parallel()
	var stops []error
	p := NewPartition(PartitionConfig{Topic: "in", Ring: 4, Ordered: true, OnStop: func(err error) { stops = append(stops, err) }})
	a, b := NewItem(), NewItem()
	p.Track(a, 1)
	p.Track(b, 2)
	p.mu.Lock()
	for seq := range uint64(2) {
		p.ring.at(seq).state = entrySent
		p.sent++
	}
	p.mu.Unlock()
	a.Settle(ErrRedo)
	if len(stops) != 0 {
		t.Fatal("stopped while the sink still has an item")
	}
	b.Settle(ErrRedo)
	if len(stops) != 1 || !errors.Is(stops[0], ErrRedo) || p.Position() != 0 {
		t.Errorf("stops %v, position %d", stops, p.Position())
	}
}
