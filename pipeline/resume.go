package pipeline

import (
	"context"
	"sync"
)

// resumeQueue holds the partitions whose delivery may go on because the gate
// opened or the head of the line moved. The committer and the sink only enter
// them: sending from their goroutines could wait for themselves.
type resumeQueue struct {
	mu      sync.Mutex
	waiting []*Partition
	wake    chan struct{} // size 1: a signal
}

func newResumeQueue() *resumeQueue { return &resumeQueue{wake: make(chan struct{}, 1)} }

func (q *resumeQueue) add(p *Partition) {
	q.mu.Lock()
	q.waiting = append(q.waiting, p)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// run delivers for the partitions entered, until done is closed.
func (q *resumeQueue) run(ctx context.Context, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-q.wake:
		}
		q.mu.Lock()
		waiting := q.waiting
		q.waiting = nil
		q.mu.Unlock()
		for _, p := range waiting {
			p.pump(ctx)
		}
	}
}
