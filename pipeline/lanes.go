package pipeline

import "sync"

// laneSet holds the partitions that items came from and that are not closed.
type laneSet struct {
	mu    sync.Mutex
	lanes map[*Partition]struct{}
}

// add enters a partition; a new one sweeps out those that ended.
func (s *laneSet) add(p *Partition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.lanes[p]; known {
		return
	}
	if s.lanes == nil {
		s.lanes = map[*Partition]struct{}{}
	}
	for old := range s.lanes {
		if old.limit.Load() == 0 {
			delete(s.lanes, old)
		}
	}
	s.lanes[p] = struct{}{}
}

// each calls f on every partition, without the lock.
func (s *laneSet) each(f func(*Partition)) {
	s.mu.Lock()
	lanes := make([]*Partition, 0, len(s.lanes))
	for p := range s.lanes {
		lanes = append(lanes, p)
	}
	s.mu.Unlock()
	for _, p := range lanes {
		f(p)
	}
}
