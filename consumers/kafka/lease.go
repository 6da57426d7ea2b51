package kafka

import (
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
}

// maxFree and reuseFactor keep the search short and the waste small: a guess,
// good enough that a steady load allocates nothing.
const (
	maxFree     = 16
	reuseFactor = 2
	roundUp     = 4 << 10
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
		last := len(m.free) - 1
		m.free[best], m.free[last] = m.free[last], nil
		m.free = m.free[:last]
		m.freeSize -= int64(cap(b))
	}
	m.mu.Unlock()
	if b != nil {
		return b[:cap(b)]
	}
	// An eighth more than asked, so that the next answer of about this size fits.
	size := n + n/8
	return make([]byte, (size+roundUp-1)/roundUp*roundUp)
}

// recycle keeps b for a later alloc, or leaves it to the garbage collector.
func (m *memory) recycle(b []byte) {
	if cap(b) == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.free) < maxFree && m.freeSize+int64(cap(b)) <= m.keep {
		m.free = append(m.free, b[:cap(b)])
		m.freeSize += int64(cap(b))
	}
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
