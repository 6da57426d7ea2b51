package pipelinetest

import (
	"context"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/sluice-ml/sluice/pipeline"
)

var _ pipeline.Source = (*Source)(nil)

// SourceConfig scripts a Source.
type SourceConfig struct {
	// Topic defaults to "in"; Partitions defaults to 1.
	Topic      string
	Partitions int
	// PerPartition is how many records each partition has.
	PerPartition int64
	// Value makes a record's value; nil makes its offset in decimal text.
	Value func(partition int32, offset int64) []byte
	// Shape changes an item further (headers, deadline, timestamp) before it is tracked.
	Shape func(it *pipeline.Item)
	// Ordered, Ring (default 65536) and Gate go to the partitions.
	Ordered bool
	Ring    int
	Gate    *pipeline.Gate
	// Most bounds one Receive, 0 for no bound of its own; Delay comes before each.
	Most  int
	Delay time.Duration
	// Follow waits for ctx at the end of the records instead of io.EOF.
	Follow bool
	// Err is returned at the end of the records instead of io.EOF.
	Err error
}

// Source hands out scripted records, partition by partition in turns. Receive is
// for one goroutine, everything else is safe for concurrent use.
type Source struct {
	cfg      SourceConfig
	lanes    []*pipeline.Partition
	next     []int64 // only Receive
	turn     int     // only Receive
	items    []*pipeline.Item
	released chan struct{} // size 1: some item ended

	mu       sync.Mutex
	stopped  map[int32]error
	releases int
}

// NewSource makes the partitions.
func NewSource(cfg SourceConfig) *Source {
	if cfg.Topic == "" {
		cfg.Topic = "in"
	}
	cfg.Partitions, cfg.Ring = max(cfg.Partitions, 1), max(cfg.Ring, 0)
	if cfg.Ring == 0 {
		cfg.Ring = 1 << 16
	}
	s := &Source{cfg: cfg, next: make([]int64, cfg.Partitions), released: make(chan struct{}, 1), stopped: map[int32]error{}}
	for id := range int32(cfg.Partitions) {
		s.lanes = append(s.lanes, pipeline.NewPartition(pipeline.PartitionConfig{
			Topic: cfg.Topic, ID: id, Ring: cfg.Ring, Ordered: cfg.Ordered, Gate: cfg.Gate,
			OnStop: func(err error) {
				s.mu.Lock()
				s.stopped[id] = err
				s.mu.Unlock()
			},
		}))
	}
	return s
}

// Lane is a partition's assignment.
func (s *Source) Lane(id int32) *pipeline.Partition { return s.lanes[id] }

// Stopped is why a partition was stopped, nil while it goes on.
func (s *Source) Stopped(id int32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped[id]
}

// Commit commits every partition's position, as a committer does.
func (s *Source) Commit() {
	for _, lane := range s.lanes {
		lane.Committed(lane.Position())
	}
}

// Releases is how many buffers came back.
func (s *Source) Releases() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.releases
}

// Release implements pipeline.Releaser for every item.
func (s *Source) Release() {
	s.mu.Lock()
	s.releases++
	s.mu.Unlock()
	select {
	case s.released <- struct{}{}:
	default:
	}
}

// Receive implements pipeline.Source.
func (s *Source) Receive(ctx context.Context, limit int) ([]*pipeline.Item, error) {
	if err := pause(ctx, s.cfg.Delay); err != nil {
		return nil, err
	}
	if s.cfg.Most > 0 {
		limit = min(limit, s.cfg.Most)
	}
	for {
		s.items = s.items[:0]
		left := s.gather(limit)
		if len(s.items) > 0 {
			return s.items, nil
		}
		if !left && !s.cfg.Follow {
			if s.cfg.Err != nil {
				return nil, s.cfg.Err
			}
			return nil, io.EOF
		}
		select {
		case <-s.released:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// gather takes up to limit records, sharing them out; left says that a live
// partition has more.
func (s *Source) gather(limit int) (left bool) {
	share := max(1, limit/len(s.lanes))
	for range s.lanes {
		id := s.turn
		s.turn = (s.turn + 1) % len(s.lanes)
		lane := s.lanes[id]
		if lane.Closed() || s.next[id] >= s.cfg.PerPartition {
			continue
		}
		left = true
		for n := min(share, lane.Free(), limit-len(s.items)); n > 0 && s.next[id] < s.cfg.PerPartition; n-- {
			s.items = append(s.items, s.item(int32(id), s.next[id]))
			s.next[id]++
		}
	}
	return left
}

func (s *Source) item(partition int32, offset int64) *pipeline.Item {
	it := pipeline.NewItem()
	it.Topic, it.Partition, it.Offset = s.cfg.Topic, partition, offset
	now := time.Now()
	it.Timestamp, it.FetchedAt = now.UnixMilli(), now.UnixNano()
	it.Buffer = s
	if s.cfg.Value != nil {
		it.Value = s.cfg.Value(partition, offset)
	} else {
		it.Value = strconv.AppendInt(nil, offset, 10)
	}
	if s.cfg.Shape != nil {
		s.cfg.Shape(it)
	}
	s.lanes[partition].Track(it, offset+1)
	return it
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
