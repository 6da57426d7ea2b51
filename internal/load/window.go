package load

// settled stands in a window for a record that needs no more waiting.
const settled int64 = -1

// window holds when each outstanding record was due, in nanoseconds since the
// start, from the oldest outstanding one to the newest. It is a ring that
// doubles up to a limit. When it is full although most of it is settled, the
// oldest outstanding ones move to overdue, so that one lost record does not hold
// all that came after it.
type window struct {
	due     []int64 // length is a power of two
	base    int64   // the oldest number in the ring
	next    int64   // the number after the newest
	limit   int
	overdue map[int64]int64
}

// overdueLimit bounds what is kept of records that are far behind the others.
const overdueLimit = 1 << 18

func newWindow(limit int) *window {
	size := 1
	for size*2 <= limit {
		size *= 2
	}
	return &window{due: make([]int64, min(size, 1024)), limit: size, overdue: map[int64]int64{}}
}

func (w *window) slot(n int64) *int64 { return &w.due[n&int64(len(w.due)-1)] }

// push adds the next record; false when there is no room.
func (w *window) push(due int64) bool {
	for w.next-w.base == int64(len(w.due)) {
		if len(w.due) < w.limit {
			w.grow()
			break
		}
		if len(w.overdue) == overdueLimit {
			return false
		}
		w.overdue[w.base] = *w.slot(w.base)
		w.base++
		w.advance()
	}
	*w.slot(w.next) = due
	w.next++
	return true
}

func (w *window) grow() {
	old := *w
	w.due = make([]int64, 2*len(old.due))
	for n := w.base; n < w.next; n++ {
		*w.slot(n) = *old.slot(n)
	}
}

// settle takes a record out and tells when it was due. known is false for a
// number that was never pushed, first is false for one settled before.
func (w *window) settle(n int64) (due int64, known, first bool) {
	switch {
	case n < 0 || n >= w.next:
		return 0, false, false
	case n < w.base:
		due, first = w.overdue[n]
		delete(w.overdue, n)
		return due, true, first
	}
	slot := w.slot(n)
	if due = *slot; due == settled {
		return 0, true, false
	}
	*slot = settled
	w.advance()
	return due, true, true
}

// advance drops the settled records at the old end.
func (w *window) advance() {
	for w.base < w.next && *w.slot(w.base) == settled {
		w.base++
	}
}

// outstanding calls f with when each outstanding record was due.
func (w *window) outstanding(f func(due int64)) {
	for _, due := range w.overdue {
		f(due)
	}
	for n := w.base; n < w.next; n++ {
		if due := *w.slot(n); due != settled {
			f(due)
		}
	}
}
