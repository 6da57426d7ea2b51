package pipeline

import (
	"math/bits"
	"sync"
	"time"
)

// costModel learns t(n) = fixed + perRow·n, the time of a batch by its rows. Runs
// are kept by size class, a power of two each, and of a class only the fastest per
// row of its last few counts: what disturbs a run (another process, a collection)
// only ever makes it slower. Safe for concurrent use.
type costModel struct {
	mu      sync.Mutex
	classes [maxClasses]costClass
	runs    uint64
	line    line
	late    spread
}

const (
	maxClasses = 24
	// classRuns is how many runs of a class compete: few enough to follow a change
	// of the machine within seconds; a guess.
	classRuns = 8
	// staleRuns is for how many runs of other sizes a class still counts; a guess.
	staleRuns = 4096
	// latestRatio bounds how late one run counts: the time of a batch may hold an
	// outage of the device, which says nothing of the next one. A guess.
	latestRatio = 16
)

type costClass struct {
	rows, nanos [classRuns]float64
	n           uint64 // runs of this class so far
	last        uint64 // costModel.runs at the latest
}

// line is t(n) in nanoseconds.
type line struct{ fixed, perRow float64 }

func (l line) at(rows int) float64 { return l.fixed + l.perRow*float64(rows) }

// spread follows how far runs lie above the line, as TCP follows its round trip
// (RFC 6298): smoothed ratio and its mean deviation.
type spread struct{ ratio, deviation float64 }

// observe enters one run.
func (c *costModel) observe(rows int, nanos int64) {
	if rows < 1 || nanos <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	t := float64(nanos)
	if expected := c.line.at(rows); expected > 0 {
		c.late.follow(min(t/expected, latestRatio))
	}
	c.runs++
	k := &c.classes[min(bits.Len(uint(rows))-1, maxClasses-1)]
	k.rows[k.n%classRuns], k.nanos[k.n%classRuns] = float64(rows), t
	k.n++
	k.last = c.runs
	c.line = c.fit()
}

// fit is the least-squares line through the classes' fastest runs, of relative
// errors: 5 us matter at one row and not at 256. Neither term is negative.
func (c *costModel) fit() line {
	var w, wn, wnn, wt, wnt float64
	for i := range c.classes {
		k := &c.classes[i]
		if k.n == 0 || c.runs-k.last > staleRuns {
			continue
		}
		n, t := k.fastest()
		weight := 1 / (t * t)
		w += weight
		wn += weight * n
		wnn += weight * n * n
		wt += weight * t
		wnt += weight * n * t
	}
	det := w*wnn - wn*wn
	if det <= 1e-9*w*wnn {
		// One size only: as if a batch cost one row more. Wrong, but it leads to
		// other sizes, which tell.
		t, n := wt/w, wn/w
		return line{fixed: t / (n + 1), perRow: t / (n + 1)}
	}
	l := line{fixed: (wnn*wt - wn*wnt) / det, perRow: (w*wnt - wn*wt) / det}
	switch {
	case l.fixed < 0:
		return line{perRow: wnt / wnn}
	case l.perRow < 0:
		return line{fixed: wt / w}
	}
	return l
}

// fastest is the run of a class with the least time per row.
func (k *costClass) fastest() (rows, nanos float64) {
	rows, nanos = k.rows[0], k.nanos[0]
	for i := 1; i < int(min(k.n, classRuns)); i++ {
		if k.nanos[i]*rows < nanos*k.rows[i] {
			rows, nanos = k.rows[i], k.nanos[i]
		}
	}
	return rows, nanos
}

func (s *spread) follow(ratio float64) {
	if s.ratio == 0 {
		s.ratio, s.deviation = ratio, ratio/2
		return
	}
	off := ratio - s.ratio
	s.ratio += off / 8
	s.deviation += (max(off, -off) - s.deviation) / 4
}

// estimate is the line; zero before the first run.
func (c *costModel) estimate() line {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.line
}

// upper is a line that few runs lie above.
func (c *costModel) upper() line {
	c.mu.Lock()
	defer c.mu.Unlock()
	factor := max(1, c.late.ratio+4*c.late.deviation)
	return line{fixed: c.line.fixed * factor, perRow: c.line.perRow * factor}
}

// within is the most rows of at most limit that take no longer than slack; 0 when
// not even one does.
func (l line) within(slack time.Duration, limit int) int {
	if l.at(limit) <= float64(slack) {
		return limit
	}
	if l.perRow == 0 {
		return 0
	}
	return int(max(0, min(float64(limit), (float64(slack)-l.fixed)/l.perRow)))
}
