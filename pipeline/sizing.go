package pipeline

import "runtime"

// sizing decides how many waiting items a goroutine takes at once, from the
// learned time of a whole batch: decode, run, encode, delivery.
type sizing struct {
	limit int // rows
	procs int
	work  costModel
}

// The fixed time of a batch is worth paying again, instead of letting it grow,
// where its share is small: up to enoughShare in exchange for a lower latency and
// warm caches (the bar is 0.97 of the best static size), up to splitShare to keep
// an idle core busy.
const (
	enoughShare = 0.015
	splitShare  = 0.25
)

func newSizing(limit int) *sizing { return &sizing{limit: limit, procs: runtime.GOMAXPROCS(0)} }

// piece is how many of the waiting items one of so many takers takes: an equal
// part, but neither so few that the fixed time dominates nor more than bring
// anything.
func (s *sizing) piece(waiting, takers int) int {
	takers = min(takers, s.procs)
	part := (waiting + takers - 1) / takers
	l := s.work.estimate()
	if l == (line{}) {
		return min(part, s.limit)
	}
	return min(max(part, s.rows(l, splitShare)), s.rows(l, enoughShare))
}

// rows is the least number of rows at which the fixed time is that share of the
// whole.
func (s *sizing) rows(l line, share float64) int {
	if l.perRow == 0 {
		return s.limit
	}
	n := l.fixed * (1 - share) / share / l.perRow
	if n >= float64(s.limit) {
		return s.limit
	}
	return max(1, int(n+0.999))
}
