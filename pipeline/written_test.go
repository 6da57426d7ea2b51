package pipeline_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/pipeline/pipelinetest"
)

// keeping is a sink whose items wait for a transaction.
type keeping struct {
	mu    sync.Mutex
	items []*pipeline.Item
	ended bool
}

func (s *keeping) Send(_ context.Context, items []*pipeline.Item) {
	for _, it := range items {
		it.Unload()
	}
	s.mu.Lock()
	s.items = append(s.items, items...)
	ended := s.ended
	s.mu.Unlock()
	if ended {
		s.settle()
	}
}

func (s *keeping) Flush(context.Context) error {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.settle()
	return nil
}

func (s *keeping) settle() {
	s.mu.Lock()
	items := s.items
	s.items = nil
	s.mu.Unlock()
	pipeline.SettleAll(items)
}

// waiting is how many wait; with written, they are written from now on.
func (s *keeping) waiting(written bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if written {
		pipeline.Written(s.items)
	}
	return len(s.items)
}

func TestWrittenItemsLeaveTheirSlotsToOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(pipelinetest.SourceConfig{Partitions: 2, PerPartition: 100, Ordered: true})
		r.cfg.MaxInFlight = 40
		sink := &keeping{}
		pipe, err := pipeline.New(r.cfg, r.src, pipelinetest.Codec{}, r.model, sink, nil)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- pipe.Run(t.Context()) }() // ends with its source

		synctest.Wait()
		if n := sink.waiting(false); n != 40 {
			t.Fatalf("%d items wait for a transaction, want the 40 that there are slots for", n)
		}
		sink.waiting(true)
		synctest.Wait()
		if n, c := sink.waiting(false), pipe.Counts(); n != 80 || c.InFlight != 80 || c.Predicted != 0 {
			t.Errorf("%d items wait when the first 40 are written, %+v, want 40 more", n, c)
		}
		sink.settle()
		synctest.Wait()
		if n, c := sink.waiting(false), pipe.Counts(); n != 40 || c.Predicted != 80 {
			t.Errorf("%d items wait after the commit, %+v, want 40: no slot is given back twice", n, c)
		}
		if err := sink.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if c := pipe.Counts(); c.Predicted != 200 || c.InFlight != 0 {
			t.Errorf("%+v, want 200 predicted", c)
		}
	})
}
