package pipelinetest

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sluice-ml/sluice/pipeline"
)

// SourceSubject is a source under test. It holds at least 100 records, in one
// partition or more, all of which may be received at once.
type SourceSubject struct {
	Source pipeline.Source
	// Ends maps each partition's number to where its position must stand when
	// every record is settled: the end of the log, gaps included.
	Ends map[int32]int64
	// Records is how many records there are to be received in all.
	Records int
}

// SourceFactory makes a fresh source with its own records; what must be closed
// goes to t.Cleanup. A Kafka source makes a topic, publishes and joins a group.
type SourceFactory func(t *testing.T) SourceSubject

// patience bounds a wait for something that comes at once in a working end; a
// real broker may take seconds to let a member join.
const patience = 30 * time.Second

// RunSourceSuite checks what pipeline.Source promises.
func RunSourceSuite(t *testing.T, factory SourceFactory) {
	t.Helper()
	t.Run("limit, order and tracking", func(t *testing.T) { sourceHandsOutInOrder(t, factory(t)) })
	t.Run("positions follow settled prefixes", func(t *testing.T) { sourcePositionsFollow(t, factory(t)) })
	t.Run("receive ends with its context", func(t *testing.T) { sourceEndsWithContext(t, factory(t)) })
}

// receiveAll takes every record, up to limit at a time, and calls each.
func receiveAll(t *testing.T, s SourceSubject, limit int, each func(*pipeline.Item)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for n := 0; n < s.Records; {
		items, err := s.Source.Receive(ctx, limit)
		if len(items) > limit {
			t.Fatalf("Receive(%d) returned %d items", limit, len(items))
		}
		for _, it := range items {
			each(it)
		}
		n += len(items)
		if err != nil && (!errors.Is(err, io.EOF) || n < s.Records) {
			t.Fatalf("Receive after %d of %d records: %v", n, s.Records, err)
		}
		if len(items) == 0 && err == nil {
			t.Fatal("Receive returned neither items nor an error")
		}
	}
}

func sourceHandsOutInOrder(t *testing.T, s SourceSubject) {
	t.Helper()
	last := map[int32]int64{}
	receiveAll(t, s, 7, func(it *pipeline.Item) {
		lane := it.Owner()
		if lane == nil || lane.Topic() != it.Topic || lane.ID() != it.Partition {
			t.Fatalf("%s/%d@%d is not tracked in its partition", it.Topic, it.Partition, it.Offset)
		}
		if before, ok := last[it.Partition]; ok && it.Offset <= before {
			t.Fatalf("%s/%d: offset %d came after %d", it.Topic, it.Partition, it.Offset, before)
		}
		last[it.Partition] = it.Offset
		if age := time.Since(time.Unix(0, it.FetchedAt)); age < 0 || age > time.Hour {
			t.Fatalf("FetchedAt is %d, want the time of the fetch", it.FetchedAt)
		}
		it.Settle(nil) // a bounded source needs its bytes back
	})
}

func sourcePositionsFollow(t *testing.T, s SourceSubject) {
	t.Helper()
	var held []*pipeline.Item
	lanes := map[int32]*pipeline.Partition{}
	first := map[int32]int64{}
	receiveAll(t, s, s.Records, func(it *pipeline.Item) {
		if lanes[it.Partition] == nil {
			lanes[it.Partition] = it.Owner()
			first[it.Partition] = it.Offset
		}
		held = append(held, it)
	})
	for id, lane := range lanes {
		if got := lane.Position(); got > first[id] {
			t.Errorf("partition %d stands at %d before anything is settled, want at most %d (I2)", id, got, first[id])
		}
	}
	rand.Shuffle(len(held), func(i, j int) { held[i], held[j] = held[j], held[i] })
	for _, it := range held {
		it.Settle(nil)
	}
	for id, lane := range lanes {
		waitFor(t, func() bool { return lane.Position() == s.Ends[id] },
			func() {
				t.Errorf("partition %d stands at %d after all is settled, want %d", id, lane.Position(), s.Ends[id])
			})
	}
}

func sourceEndsWithContext(t *testing.T, s SourceSubject) {
	t.Helper()
	receiveAll(t, s, s.Records, func(it *pipeline.Item) { it.Settle(nil) })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { // ends with ctx
		_, err := s.Source.Receive(ctx, 10)
		ended <- err
	}()
	cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) && !errors.Is(err, io.EOF) {
			t.Errorf("Receive returned %v, want its context's error", err)
		}
	case <-time.After(patience):
		t.Error("Receive did not end with its context")
	}
}

// waitFor polls until ok, and calls otherwise when patience ends.
func waitFor(t *testing.T, ok func() bool, otherwise func()) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			otherwise()
			return
		}
	}
}
