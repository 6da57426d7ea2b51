package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sluice-ml/sluice/internal/load"
	producer "github.com/sluice-ml/sluice/producers/kafka"
	"github.com/sluice-ml/sluice/schemas"
)

const (
	// sampleEvery is how often the backlog is looked at.
	sampleEvery = 100 * time.Millisecond
	// progressEvery is how often that is shown, in samples.
	progressEvery = 5
	// awaitEvery is how often the end looks whether everything is back.
	awaitEvery = 10 * time.Millisecond
	// complaints is how many reasons are told one by one.
	complaints = 5
)

// trial is one rate.
type trial struct {
	bench    *Bench
	rate     float64
	start    time.Time
	schedule *load.Schedule
	keys     load.Keys
	recorder *load.Recorder
	sources  *sources // nil when matching by key

	key  []byte // only the generator
	done sync.Pool

	mu      sync.Mutex // guards what follows
	reasons []string
	edges   [2]edge // when the measured time began and ended
	sending bool
}

// edge is how much had come back at a time.
type edge struct {
	since    time.Duration
	received int64
}

func (b *Bench) newTrial(rate float64, start time.Time) *trial {
	total := b.cfg.Warmup + b.cfg.Duration
	b.trials++
	t := &trial{
		bench: b, rate: rate, start: start, sending: true,
		schedule: load.NewSchedule(b.cfg.Arrival, rate, b.cfg.Seed),
		keys:     load.Keys{Prefix: fmt.Sprintf("bench-%s-%d-", b.id, b.trials)},
		recorder: load.NewRecorder(load.RecorderConfig{Start: start, Warmup: b.cfg.Warmup, Duration: total}),
	}
	if b.cfg.BySource {
		t.sources = newSources(t.recorder)
	}
	t.done.New = func() any { return &sending{trial: t} }
	return t
}

// begin makes t the current trial; ctx ends with a failure of the bench. done
// ends it.
func (b *Bench) begin(parent context.Context, t *trial) (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(parent)
	b.mu.Lock()
	b.cancel = cancel
	if b.failed != nil {
		cancel(b.failed)
	}
	b.mu.Unlock()
	b.current.Store(t)
	return ctx, func() {
		b.current.Store(nil)
		b.mu.Lock()
		b.cancel = nil
		b.mu.Unlock()
		cancel(nil)
	}
}

// Run loads with one rate and measures. When ctx ends it returns what was
// measured so far. An error means that nothing could be measured.
func (b *Bench) Run(parent context.Context, rate float64) (*Point, error) {
	// A little ahead, so that the first records are not late by their set-up.
	t := b.newTrial(rate, time.Now().Add(20*time.Millisecond))
	ctx, done := b.begin(parent, t)
	defer done()
	total := b.cfg.Warmup + b.cfg.Duration
	backlog := load.NewBacklog(load.NewSchedule(b.cfg.Arrival, rate, b.cfg.Seed), b.cfg.Warmup, total)
	watching, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	var watcher sync.WaitGroup
	watcher.Go(func() { t.watch(watching, backlog) }) // ended below

	generator := load.Generator{Schedule: t.schedule, Duration: total, Send: t.send}
	_, err := generator.Run(ctx, t.start)
	t.sent()
	behind := errors.Is(err, load.ErrBacklog)
	wait := b.cfg.Wait
	if parent.Err() != nil {
		wait = min(wait, interruptedWait)
	}
	t.await(context.WithoutCancel(ctx), wait)
	stopWatching()
	watcher.Wait()
	if failure := b.failure(); failure != nil {
		return nil, failure
	}
	interrupted := parent.Err() != nil
	if err != nil && !behind && !interrupted {
		return nil, err
	}
	if !interrupted {
		t.recorder.Finish(time.Now())
	}
	return t.point(backlog, behind, interrupted), nil
}

// sent says that nothing more is sent.
func (t *trial) sent() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sending = false
}

// send publishes the n-th record.
func (t *trial) send(ctx context.Context, n int64, at time.Time) error {
	b := t.bench
	rec := b.cfg.Records.at(n)
	t.key = t.keys.Append(t.key[:0], n)
	out := producer.Record{
		Topic: b.cfg.Input, Partition: b.cfg.Spread(n, rec, t.key, b.partitions), Timestamp: at.UnixMilli(),
		Key: t.key, Value: rec.Value, Headers: rec.Headers,
	}
	if b.cfg.BySource {
		out.Key = rec.Key
	}
	size := int64(len(out.Key) + len(out.Value) + 256)
	if err := b.budget.Reserve(ctx, size); err != nil {
		return err
	}
	if err := t.recorder.Sent(n, at, time.Now()); err != nil {
		b.budget.Release(size)
		return err
	}
	s := t.done.Get().(*sending)
	s.n, s.size = n, size
	b.producer.ProduceTo(&out, s)
	return nil
}

// sending is a record on its way to the broker.
type sending struct {
	trial *trial
	n     int64
	size  int64
}

var _ producer.Completion = (*sending)(nil)

// Produced implements producer.Completion.
func (s *sending) Produced(partition int32, offset int64, err error) {
	t, n := s.trial, s.n
	t.bench.budget.Release(s.size)
	t.done.Put(s)
	switch {
	case err == nil:
		if t.sources != nil {
			t.sources.published(n, place{partition, offset})
		}
	case errors.Is(err, producer.ErrTooLarge), errors.Is(err, producer.ErrRefused):
		t.recorder.Refused(n)
		t.explain("refused: " + err.Error())
	case errors.Is(err, producer.ErrClosed):
	default:
		t.bench.fail(fmt.Errorf("publish to %s: %w", t.bench.cfg.Input, err))
	}
}

// outcome takes a record of the output or the dead-letter topic.
func (t *trial) outcome(rec *schemas.Record, now time.Time, dead bool) {
	ours := false
	if t.sources != nil {
		var at place
		if at, ours = sourceOf(rec, t.bench.cfg.Input, dead); ours {
			t.sources.outcome(at, now, dead)
		}
	} else {
		var n int64
		if n, ours = t.keys.Parse(rec.Key); ours {
			ours = t.recorder.Arrived(n, now, dead)
		}
	}
	if ours && dead {
		_, info, _ := schemas.CutDeadLetter(rec.Headers)
		t.explain(fmt.Sprintf("dead-lettered: %s: %s", info.Error.Class, info.Error.Message))
	}
}

// explain tells the first reasons, each once.
func (t *trial) explain(reason string) {
	t.mu.Lock()
	known := len(t.reasons) >= complaints
	for _, r := range t.reasons {
		known = known || r == reason
	}
	if !known {
		t.reasons = append(t.reasons, reason)
	}
	t.mu.Unlock()
	if !known {
		t.bench.complain(reason)
	}
}

func (t *trial) reason() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.reasons) == 0 {
		return "no reason given"
	}
	return t.reasons[0]
}

// await blocks until everything that was sent is settled, or for wait at most.
func (t *trial) await(ctx context.Context, wait time.Duration) {
	flushing, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	_ = t.bench.producer.Flush(flushing) // what is not written in time is outstanding, below
	ticker := time.NewTicker(awaitEvery)
	defer ticker.Stop()
	for t.recorder.Counts().Outstanding > 0 && t.bench.failure() == nil {
		select {
		case <-ticker.C:
		case <-flushing.Done():
			return
		}
	}
}

// watch samples the backlog and shows how it goes, until ctx ends.
func (t *trial) watch(ctx context.Context, backlog *load.Backlog) {
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	cfg := &t.bench.cfg
	total := cfg.Warmup + cfg.Duration
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		counts, since := t.recorder.Counts(), time.Since(t.start)
		behind := backlog.Sample(since, counts.Settled())
		t.mu.Lock()
		if since >= cfg.Warmup && since <= total {
			now := edge{since, counts.Received}
			if t.edges[0].since == 0 {
				t.edges[0] = now
			}
			t.edges[1] = now
		}
		waiting := !t.sending
		t.mu.Unlock()
		if cfg.Progress == nil || n%progressEvery != 0 {
			continue
		}
		recent := t.recorder.TakeInterval()
		cfg.Progress(Progress{
			Rate: t.rate, Since: since, Warmup: cfg.Warmup, Total: total, Waiting: waiting, Counts: counts,
			Backlog: behind, P50: recent.Percentile(50), P99: recent.Percentile(99),
		})
	}
}
