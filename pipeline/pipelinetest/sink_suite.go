package pipelinetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/schemas"
)

// Written is one durable outcome, by the input it belongs to.
type Written struct {
	Partition int32
	Offset    int64
	// DeadLetter and Tombstone say what kind of outcome it is.
	DeadLetter, Tombstone bool
}

// SinkSubject is a sink under test.
type SinkSubject struct {
	Sink pipeline.Sink
	// Written reads back what is durable. The outcomes of one input partition
	// are in the order of Send.
	Written func(t *testing.T) []Written
	// Break makes every later outcome of input partition 1 impossible to write,
	// so that the sink gives up on it. Nil where that cannot be brought about.
	Break func(t *testing.T)
}

// SinkFactory makes a fresh sink for the input topic "in" with partitions 0 to 2;
// what must be closed goes to t.Cleanup. The suite's items have key, value and
// output, the input's partition and offset (which the lineage header x-source
// carries, should Written have to read them back).
type SinkFactory func(t *testing.T) SinkSubject

// RunSinkSuite checks what pipeline.Sink promises.
func RunSinkSuite(t *testing.T, factory SinkFactory) {
	t.Helper()
	t.Run("settles everything in order", func(t *testing.T) { sinkSettlesInOrder(t, factory(t)) })
	t.Run("an empty flush returns", func(t *testing.T) { sinkFlushesNothing(t, factory(t)) })
	t.Run("takes partitions side by side", func(t *testing.T) { sinkTakesSideBySide(t, factory(t)) })
	t.Run("gives up on one partition only", func(t *testing.T) { sinkGivesUp(t, factory(t)) })
}

// sinkLane sends outcomes of one partition and watches how they are settled.
type sinkLane struct {
	id    int32
	lane  *pipeline.Partition
	next  int64
	mu    sync.Mutex
	stops []error
}

func newSinkLane(id int32) *sinkLane {
	l := &sinkLane{id: id}
	l.lane = pipeline.NewPartition(pipeline.PartitionConfig{
		Topic: "in", ID: id, Ring: 1 << 12, Ordered: true,
		OnStop: func(err error) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.stops = append(l.stops, err)
		},
	})
	return l
}

func (l *sinkLane) stopped() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.stops...)
}

// items makes the next n outcomes; every fifth is a dead letter, every seventh a
// tombstone.
func (l *sinkLane) items(n int) []*pipeline.Item {
	var out []*pipeline.Item
	for range n {
		it := pipeline.NewItem()
		it.Topic, it.Partition, it.Offset = "in", l.id, l.next
		it.Timestamp, it.FetchedAt = time.Now().UnixMilli(), time.Now().UnixNano()
		it.Key, it.Value = fmt.Appendf(nil, "key-%d", l.id), strconv.AppendInt(nil, l.next, 10)
		switch {
		case l.next%7 == 6:
			it.Value, it.Tombstone = nil, true
		case l.next%5 == 4:
			it.Err = &schemas.Error{Class: schemas.RunFailed, Stage: schemas.StageInfer, Message: "told to"}
		default:
			it.Output, it.ContentType = append(it.Output, it.Value...), "text/plain"
		}
		l.next++
		l.lane.Track(it, l.next)
		out = append(out, it)
	}
	return out
}

func (s SinkSubject) flush(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Sink.Flush(ctx); err != nil {
		t.Fatalf("Flush() = %v", err)
	}
}

// settledAll checks that a flushed lane has nothing open.
func (l *sinkLane) settledAll(t *testing.T) {
	t.Helper()
	if l.lane.InFlight() != 0 || l.lane.Position() != l.next || l.stopped() != nil {
		t.Errorf("partition %d after Flush: %d not settled, position %d of %d, stopped: %v",
			l.id, l.lane.InFlight(), l.lane.Position(), l.next, l.stopped())
	}
}

func sinkSettlesInOrder(t *testing.T, s SinkSubject) {
	t.Helper()
	l := newSinkLane(0)
	for range 20 {
		s.Sink.Send(t.Context(), l.items(10))
	}
	s.flush(t)
	l.settledAll(t)
	var last int64 = -1
	lastDead := last
	seen := 0
	for _, w := range s.Written(t) {
		before := &last
		if w.DeadLetter {
			before = &lastDead // another topic
		}
		if w.Offset <= *before {
			t.Fatalf("offset %d was written after %d", w.Offset, *before)
		}
		*before = w.Offset
		seen++
		if wantDead := w.Offset%7 != 6 && w.Offset%5 == 4; w.DeadLetter != wantDead || w.Tombstone != (w.Offset%7 == 6) {
			t.Errorf("offset %d was written as %+v", w.Offset, w)
		}
	}
	if seen != 200 {
		t.Errorf("%d outcomes written, want 200", seen)
	}
}

func sinkFlushesNothing(t *testing.T, s SinkSubject) {
	t.Helper()
	began := time.Now()
	s.flush(t)
	if waited := time.Since(began); waited > patience/2 {
		t.Errorf("Flush of nothing took %s", waited)
	}
}

func sinkTakesSideBySide(t *testing.T, s SinkSubject) {
	t.Helper()
	lanes := []*sinkLane{newSinkLane(0), newSinkLane(1), newSinkLane(2)}
	var group sync.WaitGroup
	for _, l := range lanes {
		group.Go(func() { // ends with its items
			for range 20 {
				s.Sink.Send(t.Context(), l.items(5))
			}
		})
	}
	group.Wait()
	s.flush(t)
	for _, l := range lanes {
		l.settledAll(t)
	}
	if n := len(s.Written(t)); n != 300 {
		t.Errorf("%d outcomes written, want 300", n)
	}
}

func sinkGivesUp(t *testing.T, s SinkSubject) {
	t.Helper()
	if s.Break == nil {
		return
	}
	good, bad := newSinkLane(0), newSinkLane(1)
	s.Break(t)
	s.Sink.Send(t.Context(), bad.items(10))
	s.Sink.Send(t.Context(), good.items(10))
	s.flush(t)
	good.settledAll(t)
	waitFor(t, func() bool { return bad.lane.InFlight() == 0 },
		func() { t.Errorf("%d items of the broken partition were never settled", bad.lane.InFlight()) })
	if bad.stopped() == nil || bad.lane.Position() != 0 {
		t.Errorf("broken partition: stopped %v, position %d, want an error and 0 (I1)", bad.stopped(), bad.lane.Position())
	}
	if len(bad.stops) > 1 {
		t.Errorf("OnStop was called %d times", len(bad.stops))
	}
}
