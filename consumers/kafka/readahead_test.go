package kafka

import (
	"testing"
	"time"

	"github.com/sluice-ml/sluice/pipeline"
)

func TestReadAheadIsBoundedUnlessNothingIsLeftToDecode(t *testing.T) {
	t.Parallel()
	a := &readAhead{budget: pipeline.NewBudget(1 << 30)}
	a.budget.Add(inFlightAhead - 1)
	if a.full(3 * hotBytes) {
		t.Error("full below the bound")
	}
	a.budget.Add(1)
	if !a.full(0) {
		t.Error("not full at the bound")
	}
	if a.received(5) {
		t.Error("who was left out is asked again though something came")
	}
	if !a.received(0) || a.received(0) {
		t.Error("who was left out is not asked again, once, when nothing comes")
	}
	if a.full(0) {
		t.Error("a source without anything to decode may not ask")
	}
	if !a.full(1) {
		t.Error("a second answer is asked for beyond the bound")
	}
}

// fetchedFrom is a generation whose partitions all have backlog at one broker.
func fetchedFrom(t *testing.T, partitions int32) (*fetcher, *Source) {
	t.Helper()
	s, err := NewSource(nil, Config{Topics: []string{"in"}, Group: "g"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var parts []topicPartition
	for id := range partitions {
		parts = append(parts, topicPartition{"in", id})
	}
	g := newGeneration(s, 1, "m", parts)
	f := &fetcher{g: g, wake: make(chan struct{}, 1)}
	for _, p := range g.parts {
		p.phase, p.fetcher, p.hot, p.end = fetching, f, true, 1<<40
	}
	return f, s
}

// What may be asked for is less than all have: nobody is left out for ever, and
// partitions share an answer.
func TestBacklogIsAskedForInTurns(t *testing.T) {
	t.Parallel()
	const partitions = 20
	f, _ := fetchedFrom(t, partitions)
	seen := map[int32]int{}
	for range partitions / 4 {
		var req request
		f.pick(&req, time.Now())
		if len(req.parts) != 4 || req.wire.MaxBytes != hotBytes {
			t.Fatalf("%d partitions, %d bytes", len(req.parts), req.wire.MaxBytes)
		}
		for _, w := range req.parts {
			seen[w.p.id]++
		}
		f.unclaim(&req) // all could be asked for again
		f.asked.Store(0)
	}
	for id := range int32(partitions) {
		if seen[id] != 1 {
			t.Errorf("partition %d was asked for %d times", id, seen[id])
		}
	}
}

func TestBacklogBeyondTheBoundWaits(t *testing.T) {
	t.Parallel()
	f, s := fetchedFrom(t, 2)
	s.memory.budget.Add(inFlightAhead)
	var req request
	if f.pick(&req, time.Now()); len(req.parts) != 0 {
		t.Fatalf("%d partitions are asked for", len(req.parts))
	}
	s.ahead.received(0)
	f.pick(&req, time.Now())
	var second request
	f.pick(&second, time.Now())
	if len(req.parts) != 1 || req.wire.MaxBytes != hotBytes || len(second.parts) != 0 {
		t.Errorf("%d partitions, %d bytes, and then %d partitions are asked for, want one answer", len(req.parts), req.wire.MaxBytes, len(second.parts))
	}
}

// Records in flight beyond the bound, for example in a transaction, do not stop
// what comes after them.
func TestBacklogIsReadWhateverIsInFlight(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(3)
		w.produce(3, 500)
		cfg := w.config()
		cfg.FetchBytes = 1 << 10
		cfg.Budget = pipeline.NewBudget(256 << 20)
		cfg.Budget.Add(inFlightAhead)
		r := w.reader(cfg)
		w.until(30*time.Second, "all", func() bool { return r.count() == 3*500 })
	})
}
