package kafka

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sluice-ml/sluice/pipeline"
)

// memory hands out the buffers of fetch answers and of decompressed batches,
// counts them against the byte budget for as long as a record in them lives
// (I4), and keeps a few for reuse. Safe for concurrent use.
type memory struct {
	budget *pipeline.Budget
	// released is called after a reference went, with whole = true when memory
	// came back with it; from any goroutine, also under a partition's mutex. It
	// must not block.
	released func(whole bool)
	// unpacked counts the decompressed batches that are alive.
	unpacked atomic.Int32

	mu       sync.Mutex
	free     [][]byte // guarded by mu; at most maxFree of keep bytes together
	freeSize int64    // guarded by mu
	keep     int64
	// outside has large buffers lie outside the heap: then all must come back.
	outside bool
	// mapped are those buffers, by their last byte, which stays
	// when a slice loses bytes at its front. Guarded by mu.
	mapped map[*byte][]byte
	closed bool // guarded by mu: nothing is kept any more
}

// maxFree and reuseFactor keep the search short and the waste small: a guess,
// good enough that a steady load allocates nothing.
const (
	maxFree     = 16
	reuseFactor = 2
	roundUp     = 4 << 10
	// mapFrom is the size from which buffers lie outside the heap. The collector lets
	// the heap grow to twice what lives, and most of what lives are these few; they
	// are counted by their references anyway. A guess.
	mapFrom = 1 << 20
)

// alloc returns at least n bytes that nobody else uses. They are not counted yet.
func (m *memory) alloc(n int) []byte {
	m.mu.Lock()
	best := -1
	for i, b := range m.free {
		if cap(b) >= n && cap(b) <= n*reuseFactor+roundUp && (best < 0 || cap(b) < cap(m.free[best])) {
			best = i
		}
	}
	var b []byte
	if best >= 0 {
		b = m.free[best]
		m.free = slices.Delete(m.free, best, best+1)
		m.freeSize -= int64(cap(b))
	}
	m.mu.Unlock()
	if b != nil {
		return b[:cap(b)]
	}
	// An eighth more than asked, so that the next answer of about this size fits.
	size := (n + n/8 + roundUp - 1) / roundUp * roundUp
	if m.outside && size >= mapFrom {
		if b := mapMemory(size); b != nil {
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.mapped == nil {
				m.mapped = map[*byte][]byte{}
			}
			m.mapped[&b[size-1]] = b
			return b
		}
	}
	return make([]byte, size)
}

// answer returns memory for a fetch answer of n bytes. Large ones have one size, so
// that each fits what any other has left: in a drain half of what was mapped lay
// free in the wrong size. Small budgets cannot afford it.
func (m *memory) answer(n int) []byte {
	if m.outside && n >= mapFrom && m.keep >= 4*hotBytes {
		n = max(n, hotBytes)
	}
	return m.alloc(n)
}

// recycle keeps b for a later alloc, or lets go of it.
func (m *memory) recycle(b []byte) {
	if cap(b) == 0 {
		return
	}
	b = b[:cap(b)]
	m.mu.Lock()
	defer m.mu.Unlock()
	if whole, ok := m.mapped[&b[len(b)-1]]; ok {
		b = whole
	}
	m.free = append(m.free, b)
	m.freeSize += int64(len(b))
	m.trim()
}

// trim lets go of what has not fitted for longest. mu is held.
func (m *memory) trim() {
	for len(m.free) > 0 && (m.closed || len(m.free) > maxFree || m.freeSize > m.keep) {
		b := m.free[0]
		m.free = slices.Delete(m.free, 0, 1)
		m.freeSize -= int64(len(b))
		if _, ok := m.mapped[&b[len(b)-1]]; ok {
			delete(m.mapped, &b[len(b)-1])
			unmapMemory(b)
		}
	}
}

// close lets go of what is free, and of the rest when it comes back.
func (m *memory) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.trim()
}

// lease is counted memory with a reference count: the answer itself, the part
// of one partition in it (a part), or one decompressed batch. Items hold the
// lease their bytes lie in.
type lease struct {
	refs atomic.Int32
	size int64
	// held is the partition's own count, nil for a whole answer.
	held   *atomic.Int64
	parent *lease
	data   []byte
	mem    *memory
}

var _ pipeline.Releaser = (*lease)(nil)

// lease counts data, which is already in the budget, until the last reference
// is released. The caller has one reference.
func (m *memory) lease(data []byte, held *atomic.Int64) *lease {
	l := &lease{size: int64(cap(data)), held: held, data: data, mem: m}
	l.refs.Store(1)
	if held != nil {
		held.Add(l.size)
		m.unpacked.Add(1)
	}
	return l
}

// part is a reference to n bytes of l on behalf of one partition.
func (l *lease) part(n int, held *atomic.Int64) *lease {
	l.hold()
	c := &lease{size: int64(n), held: held, parent: l, mem: l.mem}
	c.refs.Store(1)
	held.Add(c.size)
	return c
}

func (l *lease) hold() { l.refs.Add(1) }

// Release implements pipeline.Releaser.
func (l *lease) Release() {
	n := l.refs.Add(-1)
	switch {
	case n > 0:
	case n < 0:
		panic("BUG: a fetch buffer was released twice")
	case l.parent != nil:
		l.held.Add(-l.size)
		l.parent.Release()
	default:
		if l.held != nil {
			l.held.Add(-l.size)
			l.mem.unpacked.Add(-1)
		}
		l.mem.recycle(l.data)
		l.mem.budget.Release(l.size)
	}
	l.mem.released(n == 0)
}
