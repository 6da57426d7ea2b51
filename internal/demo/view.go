package demo

import (
	"context"
	"fmt"
	"io"
	"time"
)

const (
	// frameEvery is the live view's pace; plainEvery that of plain lines.
	frameEvery = 200 * time.Millisecond
	plainEvery = time.Second
	// picturesEvery is slower: a picture must stay long enough to be looked at.
	picturesEvery = 800 * time.Millisecond
)

// watch shows the demo on the terminal until ctx ends.
func watch(ctx context.Context, t *terminal, s *sampler, service *Service, log *logTail) {
	var shown *snapshot // whose pictures are on the screen
	var drawn time.Time
	every(ctx, frameEvery, func(now time.Time) {
		snap := s.take(ctx, now)
		if shown == nil || now.Sub(drawn) >= picturesEvery {
			shown, drawn = snap, now
		}
		snap.recent, snap.mistake = shown.recent, shown.mistake
		size := t.size()
		t.show(size, size.frame(snap, service.Admin(), log.last()))
	})
}

// report writes a plain line every second until ctx ends.
func report(ctx context.Context, out io.Writer, s *sampler) {
	every(ctx, plainEvery, func(now time.Time) {
		snap := s.take(ctx, now)
		_, _ = fmt.Fprintf(out, "%s  %s predictions/s  batch %.1f  lag %.2f s  p50 %s  p99 %s  accuracy %.2f %%  predicted %s of %s  dead %d\n",
			clock(snap.elapsed), count(snap.predictedRate), snap.batch, snap.lag.Seconds(), duration(snap.p50), duration(snap.p99),
			100*snap.accuracy(), count(float64(snap.predicted)), count(float64(snap.published)), snap.deadLettered)
	})
}

func every(ctx context.Context, pace time.Duration, f func(now time.Time)) {
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			f(now)
		}
	}
}

// summary is the demo's last word.
func summary(out io.Writer, t *tally, elapsed time.Duration) {
	_, _ = fmt.Fprintf(out, "\npublished %s   predicted %s   dead-lettered %s   lost %s   twice %s\n",
		count(float64(t.published)), count(float64(t.predicted)), count(float64(t.deadLettered)),
		count(float64(t.lost())), count(float64(t.duplicated)))
	_, _ = fmt.Fprintf(out, "accuracy %.2f %%   latency p50 %s, p99 %s   %s predictions/s in %.1f s\n",
		100*t.accuracy(), duration(t.latency.quantile(0.5)), duration(t.latency.quantile(0.99)),
		count(float64(t.predicted)/elapsed.Seconds()), elapsed.Seconds())
}
