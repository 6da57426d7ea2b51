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

// Large buffers lie outside the heap and go back to the system: when others are
// kept instead of them, and at the end, also those that were out at that time.
func TestMappedMemoryGoesBack(t *testing.T) {
	t.Parallel()
	m := newTestMemory()
	m.outside, m.keep = true, 8<<20
	big := m.alloc(3 << 20)
	if len(m.mapped) == 0 {
		t.Skip("no mapped memory on this system")
	}
	big[0], big[len(big)-1] = 1, 1
	m.recycle(big[5:100]) // as the rest of an answer whose head was read
	again := m.alloc(3 << 20)
	if &again[0] != &big[0] || len(again) != len(big) {
		t.Error("the buffer was not used again as it was")
	}
	m.recycle(again)
	for range 2 {
		m.recycle(m.alloc(6 << 20))
	}
	if len(m.mapped) != 1 || m.freeSize > m.keep {
		t.Errorf("%d mapped buffers, %d bytes free", len(m.mapped), m.freeSize)
	}
	out := m.alloc(2 << 20)
	m.close()
	if len(m.mapped) != 1 || len(m.free) != 0 {
		t.Errorf("%d mapped, %d free after the end, want the one that is out", len(m.mapped), len(m.free))
	}
	m.recycle(out)
	m.recycle(make([]byte, 100))
	if len(m.mapped) != 0 || len(m.free) != 0 || m.freeSize != 0 {
		t.Errorf("%d mapped, %d free, %d bytes", len(m.mapped), len(m.free), m.freeSize)
	}
}
