package pipeline

import (
	"context"
	"sync"
	"time"
)

// inbox holds what was received until a goroutine decodes it. While all are busy
// it grows, so that the next one takes more at once: batch while busy. Its memory
// is bounded by the slots, and by room, so that what waits stays in the caches.
// Safe for concurrent use; one goroutine, the receiver, puts.
type inbox struct {
	room int
	wake chan struct{} // size 1: a signal to those who take; shared with the batcher when they do both
	// ended is closed by close. A signal could be lost: one who turned to the batcher
	// for good may take it.
	ended chan struct{}

	mu      sync.Mutex
	items   []*Item // items[taken:] wait, oldest first
	taken   int
	idle    int  // how many wait for a signal
	closed  bool // nothing more is put
	waiting bool // the receiver waits for room
	freed   chan struct{}
}

func newInbox(room int, wake chan struct{}) *inbox {
	return &inbox{room: room, wake: wake, ended: make(chan struct{}), freed: make(chan struct{}, 1)}
}

// space blocks until there is room and says for how many items.
func (b *inbox) space(ctx context.Context) (int, error) {
	for {
		b.mu.Lock()
		n := b.room - b.len()
		b.waiting = n <= 0
		b.mu.Unlock()
		if n > 0 {
			return n, nil
		}
		select {
		case <-b.freed:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// put appends items and wakes one who takes; it keeps nothing of the slice.
func (b *inbox) put(items []*Item) {
	if len(items) == 0 {
		return
	}
	b.mu.Lock()
	if b.taken > 0 { // move what is left to the front: short, for it was not taken yet
		b.items = b.items[:copy(b.items, b.items[b.taken:])]
		b.taken = 0
	}
	b.items = append(b.items, items...)
	idle := b.idle > 0
	b.mu.Unlock()
	if idle {
		nudge(b.wake)
	}
}

// take moves the oldest items to dst: as many as piece says for the number that
// waits and the number of goroutines that could take them, the caller included.
// ended says that nothing is left and nothing more will come.
func (b *inbox) take(dst []*Item, piece func(waiting, takers int) int) (_ []*Item, ended bool) {
	b.mu.Lock()
	waiting := b.len()
	if waiting == 0 {
		ended = b.closed
		b.mu.Unlock()
		return dst, ended
	}
	n := min(piece(waiting, b.idle+1), waiting)
	from := b.items[b.taken : b.taken+n]
	dst = append(dst, from...)
	clear(from)
	b.taken += n
	more := waiting > n && b.idle > 0
	room := b.waiting && b.len() <= b.room/2 // not for each single one
	if room {
		b.waiting = false
	}
	b.mu.Unlock()
	if more {
		nudge(b.wake)
	}
	if room {
		nudge(b.freed)
	}
	return dst, false
}

// next is take that waits for items; false when none will come.
func (b *inbox) next(dst []*Item, piece func(waiting, takers int) int) ([]*Item, bool) {
	for {
		items, ended := b.take(dst, piece)
		if len(items) > len(dst) {
			return items, true
		}
		if ended {
			return items, false
		}
		if b.rest() {
			b.wait(nil)
		}
	}
}

// rest notes that the caller is about to wait for a signal; false says that it
// need not: something is there. The caller says wait afterwards.
func (b *inbox) rest() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.len() > 0 || b.closed {
		return false
	}
	b.idle++
	return true
}

// wait blocks until a signal, the timer or the end comes.
func (b *inbox) wait(timer <-chan time.Time) {
	select {
	case <-b.wake:
	case <-timer:
	case <-b.ended:
	}
	b.mu.Lock()
	b.idle--
	b.mu.Unlock()
}

// close says that nothing more is put.
func (b *inbox) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	close(b.ended)
}

func (b *inbox) len() int { return len(b.items) - b.taken }

// nudge sends a signal unless one is pending.
func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// pass wakes another one if something waits: for a caller that turns to other work.
func (b *inbox) pass() {
	b.mu.Lock()
	more := b.len() > 0 && b.idle > 0
	b.mu.Unlock()
	if more {
		nudge(b.wake)
	}
}
