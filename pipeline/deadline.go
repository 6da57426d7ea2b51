package pipeline

import (
	"slices"
	"time"
)

// inTime orders a batch whose deadlines a run of all of it would miss: the earliest
// first, and says how many of these still meet theirs when they run alone. Without
// deadlines, or where all are met or none can be, it is the whole batch as it is.
// moved says that items changed their places. at is now, in Unix nanoseconds.
func inTime(items []*Item, took line, at int64) (n int, moved bool) {
	earliest, rows := int64(0), 0
	for _, it := range items {
		rows += it.Req.Rows
		if d := it.Req.Deadline; d > 0 && (earliest == 0 || d < earliest) {
			earliest = d
		}
	}
	if earliest == 0 || took == (line{}) {
		return len(items), false
	}
	fits := took.within(time.Duration(nanos(earliest)-at), rows)
	if fits >= rows || fits == 0 {
		return len(items), false
	}
	if !slices.IsSortedFunc(items, byDeadline) {
		slices.SortStableFunc(items, byDeadline)
		moved = true
	}
	for n = 1; n < len(items) && fits > items[n-1].Req.Rows; n++ {
		fits -= items[n-1].Req.Rows
	}
	return n, moved
}

// byDeadline puts items without a deadline last.
func byDeadline(a, b *Item) int {
	switch x, y := a.Req.Deadline, b.Req.Deadline; {
	case x == y:
		return 0
	case y == 0 || x > 0 && x < y:
		return -1
	default:
		return 1
	}
}
