package main

import (
	"sync"
	"time"

	"github.com/sluice-ml/sluice/pipeline"
)

const (
	sampleEvery = time.Second
	// samplesKept: two minutes are what the page draws.
	samplesKept = 120
	// rateOver is the span of the rates shown.
	rateOver = 10
)

// history keeps the counts of the last two minutes, for rates. Safe for
// concurrent use.
type history struct {
	mu         sync.Mutex
	samples    []sample // oldest first
	lastJoined time.Time
}

type sample struct {
	at     time.Time
	counts pipeline.Counts
}

func newHistory() *history { return &history{} }

func (h *history) add(now time.Time, c pipeline.Counts, joined bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if joined {
		h.lastJoined = now
	}
	if len(h.samples) == samplesKept {
		h.samples = append(h.samples[:0], h.samples[1:]...)
	}
	h.samples = append(h.samples, sample{now, c})
}

func (h *history) joinedWithin(d time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.lastJoined.IsZero() && time.Since(h.lastJoined) < d
}

// rates are items a second over the last ten seconds, and the outcomes of each
// second of the last two minutes.
func (h *history) rates() (received, predicted float64, perSecond []float64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := len(h.samples)
	for i := 1; i < n; i++ {
		perSecond = append(perSecond, rate(h.samples[i-1], h.samples[i], func(c pipeline.Counts) int64 { return c.Predicted }))
	}
	if n < 2 {
		return 0, 0, perSecond
	}
	first, last := h.samples[max(0, n-1-rateOver)], h.samples[n-1]
	return rate(first, last, func(c pipeline.Counts) int64 { return c.Received }),
		rate(first, last, func(c pipeline.Counts) int64 { return c.Predicted }), perSecond
}

func rate(a, b sample, of func(pipeline.Counts) int64) float64 {
	seconds := b.at.Sub(a.at).Seconds()
	if seconds <= 0 {
		return 0
	}
	return float64(of(b.counts)-of(a.counts)) / seconds
}
