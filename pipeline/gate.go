package pipeline

import (
	"sync"
	"sync/atomic"
)

// Gate bounds how many outcomes are delivered but not yet committed, over all
// partitions of a source: what a crash may repeat. A nil Gate lets everything
// through. Safe for concurrent use.
type Gate struct {
	limit int64
	asked func()
	used  atomic.Int64

	mu      sync.Mutex
	waiting []*Partition
}

// NewGate returns a gate for limit outcomes; wake, which must not block, is
// called without locks from any goroutine when the limit is reached, and while it
// is as positions move: commit now.
func NewGate(limit int, wake func()) *Gate {
	return &Gate{limit: int64(limit), asked: wake}
}

// Used is how many delivered outcomes are uncommitted.
func (g *Gate) Used() int { return int(g.used.Load()) }

// take lets one outcome through, or enters the partition among those waiting.
func (g *Gate) take(p *Partition) bool {
	if g == nil || g.tryTake() {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.tryTake() { // released before the lock: no one would wake us
		return true
	}
	for _, w := range g.waiting {
		if w == p {
			return false
		}
	}
	g.waiting = append(g.waiting, p)
	return false
}

func (g *Gate) tryTake() bool {
	for {
		used := g.used.Load()
		if used >= g.limit {
			return false
		}
		if g.used.CompareAndSwap(used, used+1) {
			return true
		}
	}
}

func (g *Gate) full() bool { return g != nil && g.used.Load() >= g.limit }

func (g *Gate) overdraw() { g.used.Add(1) }

func (g *Gate) wake() {
	if g.asked != nil {
		g.asked()
	}
}

// release gives n outcomes back and lets the waiting partitions go on.
func (g *Gate) release(n int) {
	if g == nil || n == 0 {
		return
	}
	g.used.Add(int64(-n))
	g.mu.Lock()
	waiting := g.waiting
	g.waiting = nil
	g.mu.Unlock()
	for _, p := range waiting {
		p.resumeDelivery()
	}
}
