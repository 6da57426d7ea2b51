package demo

import (
	"context"
	"time"
)

// window is the time over which rates, percentiles and batch sizes are shown.
const window = 5 * time.Second

// snapshot is what the view and the plain lines show.
type snapshot struct {
	tally
	elapsed                      time.Duration
	publishedRate, predictedRate float64 // a second, within the window
	p50, p90, p99                time.Duration
	lag                          time.Duration
	batch                        float64            // mean rows of a batch, within the window
	stage                        map[string]float64 // mean seconds, within the window
}

// sampler turns running totals into what happened within the window. Owned by the
// goroutine that shows it.
type sampler struct {
	ledger  *ledger
	service *Service
	began   time.Time
	history []sample // oldest first
}

type sample struct {
	at time.Time
	tally
	gauges
}

func newSampler(l *ledger, service *Service, now time.Time) *sampler {
	return &sampler{ledger: l, service: service, began: now, history: []sample{{at: now}}}
}

func (s *sampler) take(ctx context.Context, now time.Time) *snapshot {
	latest := sample{at: now, tally: s.ledger.tally(), gauges: readGauges(ctx, s.service.Metrics)}
	for len(s.history) > 1 && now.Sub(s.history[1].at) >= window {
		s.history = s.history[1:]
	}
	first := &s.history[0]
	s.history = append(s.history, latest)
	seconds := max(now.Sub(first.at).Seconds(), 0.001)
	latency := latest.latency.since(&first.latency)
	snap := &snapshot{
		tally: latest.tally, elapsed: now.Sub(s.began), lag: latest.lag,
		publishedRate: float64(latest.published-first.published) / seconds,
		predictedRate: float64(latest.predicted-first.predicted) / seconds,
		p50:           latency.quantile(0.5), p90: latency.quantile(0.9), p99: latency.quantile(0.99),
		batch: latest.batchRows.since(first.batchRows).mean(),
		stage: make(map[string]float64, len(stages)),
	}
	for _, name := range stages {
		snap.stage[name] = latest.stages[name].since(first.stages[name]).mean()
	}
	return snap
}
