package pipeline

import (
	"context"
	"sync/atomic"
)

// slots bounds the items in flight (I4). One goroutine, the receiver, takes them
// and waits for them; any goroutine releases them.
type slots struct {
	total int64
	used  atomic.Int64
	// written are those of used whose outcome the broker has, in a transaction that is
	// not committed: they leave their slot to another item.
	written atomic.Int64
	waiting atomic.Bool
	freed   chan struct{} // size 1: a signal, not a count
}

func newSlots(total int) *slots {
	return &slots{total: int64(total), freed: make(chan struct{}, 1)}
}

// wait blocks until slots are free and says how many; they stay free, because
// only the caller takes any.
func (s *slots) wait(ctx context.Context) (free int, err error) {
	err = s.until(ctx, func(int64) bool { return s.free() > 0 })
	return int(s.free()), err
}

// free looks at used first: release lowers written first, so that nothing is counted as
// free twice.
func (s *slots) free() int64 {
	used := s.used.Load()
	return s.total - used + s.written.Load()
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

// write says that n items more are written.
func (s *slots) write(n int) {
	s.written.Add(int64(n))
	s.signal()
}

// release ends n items, of which some were written.
func (s *slots) release(n, written int) {
	s.written.Add(int64(-written))
	if s.used.Add(int64(-n)) < 0 {
		panic("BUG: more slots released than taken")
	}
	s.signal()
}

func (s *slots) signal() {
	if s.waiting.Load() {
		select {
		case s.freed <- struct{}{}:
		default: // a signal is pending already
		}
	}
}
