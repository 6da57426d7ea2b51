package kafka

import (
	"sync/atomic"
	"testing"

	"github.com/sluice-ml/sluice/pipeline"
)

func newTestMemory() *memory {
	return &memory{budget: pipeline.NewBudget(1 << 30), keep: 1 << 20, released: func(bool) {}}
}

func TestMemoryIsHeldUntilTheLastRecordIsDone(t *testing.T) {
	t.Parallel()
	m := newTestMemory()
	b := m.alloc(10_000)
	m.budget.Add(int64(cap(b)))
	var held, other atomic.Int64
	whole := m.lease(b, nil)
	first, second := whole.part(4000, &held), whole.part(6000, &other)
	whole.Release()
	first.hold() // one record
	first.Release()
	second.Release()

	if held.Load() != 4000 || other.Load() != 0 || m.budget.Used() != int64(cap(b)) {
		t.Errorf("held %d and %d, budget %d", held.Load(), other.Load(), m.budget.Used())
	}
	first.Release()
	if held.Load() != 0 || m.budget.Used() != 0 {
		t.Errorf("held %d, budget %d", held.Load(), m.budget.Used())
	}
	if again := m.alloc(10_000); &again[0] != &b[0] {
		t.Error("the buffer was not used again")
	}
}

func TestReleasingTwiceIsABug(t *testing.T) {
	t.Parallel()
	m := newTestMemory()
	l := m.lease(nil, nil)
	l.Release()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	l.Release()
}

func TestKeptMemoryIsBounded(t *testing.T) {
	t.Parallel()
	m := newTestMemory()
	for range 100 {
		m.recycle(make([]byte, 100<<10))
	}
	if m.freeSize > m.keep || len(m.free) > maxFree {
		t.Errorf("%d bytes in %d buffers", m.freeSize, len(m.free))
	}
}
