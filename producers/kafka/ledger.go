package kafka

import (
	"context"
	"sync"
)

// ledger counts unfinished batches by generation, so that a flush waits for
// what was produced before it and not for what comes after. Safe for
// concurrent use; touched once per batch, not per record.
type ledger struct {
	mu      sync.Mutex
	current int64
	open    map[int64]int
	// changed is closed and replaced when a generation has no batches left.
	changed chan struct{}
}

func newLedger() *ledger {
	return &ledger{open: map[int64]int{}, changed: make(chan struct{})}
}

// newGeneration asks for the generation of now.
const newGeneration = -1

// enter counts a batch: a new one, or one more of a generation, such as the
// other half of a split. It returns the generation.
func (l *ledger) enter(generation int64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if generation == newGeneration {
		generation = l.current
	}
	l.open[generation]++
	return generation
}

// leave counts a batch as finished.
func (l *ledger) leave(generation int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[generation]--; l.open[generation] == 0 {
		delete(l.open, generation)
		close(l.changed)
		l.changed = make(chan struct{})
	}
}

// advance starts a new generation and returns the one that ended.
func (l *ledger) advance() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.current++
	return l.current - 1
}

// latest is the generation of now.
func (l *ledger) latest() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.current
}

// wait blocks until no batch of the generation or an older one is left.
func (l *ledger) wait(ctx context.Context, generation int64) error {
	for {
		l.mu.Lock()
		left := false
		for g := range l.open {
			left = left || g <= generation
		}
		changed := l.changed
		l.mu.Unlock()
		if !left {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
