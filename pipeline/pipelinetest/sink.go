package pipelinetest

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/schemas"
)

var _ pipeline.Sink = (*Sink)(nil)

// Outcome is what a Sink wrote of an item.
type Outcome struct {
	Partition               int32
	Offset                  int64
	Value                   string
	Tombstone               bool
	Err                     *schemas.Error
	Attempts                int
	BatchRows               int
	TraceParent, TraceState string
}

// Sink keeps outcomes in memory. Its fields are set before use. Safe for
// concurrent use; it notes Send calls of one partition that overlap.
type Sink struct {
	// Delay is how long until an outcome is durable; Shuffle acknowledges the
	// items of a Send in random order, each after a delay up to Delay.
	Delay   time.Duration
	Shuffle bool
	// Fail says that the sink gives up on an item.
	Fail func(it *pipeline.Item) error

	mu       sync.Mutex
	settled  sync.Cond
	outcomes []Outcome
	sending  map[int32]bool
	overlaps int
	pending  int
}

// Outcomes is what was written, in the order of Send.
func (s *Sink) Outcomes() []Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Outcome(nil), s.outcomes...)
}

// Overlaps is how often Send ran twice at once for one partition.
func (s *Sink) Overlaps() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.overlaps
}

// Send implements pipeline.Sink.
func (s *Sink) Send(_ context.Context, items []*pipeline.Item) {
	partition := items[0].Partition
	s.enter(partition, items)
	defer s.leave(partition)
	mine := append([]*pipeline.Item(nil), items...)
	switch {
	case s.Shuffle:
		rand.Shuffle(len(mine), func(i, j int) { mine[i], mine[j] = mine[j], mine[i] })
		for _, it := range mine { // each ends with its item
			go s.settle(rand.N(s.Delay+1), it)
		}
	case s.Delay > 0:
		go s.settle(s.Delay, mine...) // ends with its items
	default:
		s.settle(0, mine...)
	}
}

func (s *Sink) enter(partition int32, items []*pipeline.Item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled.L = &s.mu
	if s.sending == nil {
		s.sending = map[int32]bool{}
	}
	if s.sending[partition] {
		s.overlaps++
	}
	s.sending[partition] = true
	s.pending += len(items)
	for _, it := range items {
		s.outcomes = append(s.outcomes, Outcome{
			Partition: it.Partition, Offset: it.Offset, Value: string(it.Output), Tombstone: it.Tombstone,
			Err: it.Err, Attempts: it.Attempts, BatchRows: it.BatchRows,
			TraceParent: string([]byte(it.TraceParent)), TraceState: string([]byte(it.TraceState)),
		})
	}
}

func (s *Sink) leave(partition int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sending[partition] = false
}

func (s *Sink) settle(after time.Duration, items ...*pipeline.Item) {
	time.Sleep(after)
	n := len(items)
	if after > 0 && s.Fail == nil { // late and all at once, as a broker's answer does
		pipeline.SettleAll(items)
		items = nil
	}
	for _, it := range items {
		var err error
		if s.Fail != nil {
			err = s.Fail(it)
		}
		it.ProducedAt = time.Now().UnixNano()
		it.Settle(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending -= n
	s.settled.Broadcast()
}

// Flush implements pipeline.Sink.
func (s *Sink) Flush(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled.L = &s.mu
	defer context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.settled.Broadcast()
	})()
	for s.pending > 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		s.settled.Wait()
	}
	return nil
}
