package pipeline

import (
	"context"
	"sync/atomic"
)

// slots bounds the items in flight (I4). One goroutine, the receiver, takes them
// and waits for them; any goroutine releases them.
type slots struct {
	total   int64
	used    atomic.Int64
	waiting atomic.Bool
	freed   chan struct{} // size 1: a signal, not a count
}

func newSlots(total int) *slots {
	return &slots{total: int64(total), freed: make(chan struct{}, 1)}
}

// wait blocks until slots are free and says how many; they stay free, because
// only the caller takes any.
func (s *slots) wait(ctx context.Context) (free int, err error) {
	err = s.until(ctx, func(used int64) bool { return used < s.total })
	return int(s.total - s.used.Load()), err
}

// until blocks until ok holds for the number of slots in use.
func (s *slots) until(ctx context.Context, ok func(used int64) bool) error {
	defer s.waiting.Store(false)
	for {
		s.waiting.Store(true) // before the look: a release after it signals
		if ok(s.used.Load()) {
			return nil
		}
		select {
		case <-s.freed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (s *slots) take(n int) { s.used.Add(int64(n)) }

func (s *slots) release(n int) {
	if s.used.Add(int64(-n)) < 0 {
		panic("BUG: more slots released than taken")
	}
	if s.waiting.Load() {
		select {
		case s.freed <- struct{}{}:
		default: // a signal is pending already
		}
	}
}
