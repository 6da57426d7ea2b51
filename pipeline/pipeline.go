package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// ErrDrainTimeout is Run's result when work was cut because the drain took
// longer than DrainTimeout; what was cut is uncommitted and comes again.
var ErrDrainTimeout = errors.New("drain timeout")

// cutGrace is how long Run waits for a cut worker: a model ends within one of
// its nodes, and a process that stops has little time left (I7).
const cutGrace = time.Second

// inboxItems is the least room of the inbox: enough that a source is not asked for
// a handful at a time; a guess.
const inboxItems = 1024

// Pipeline carries items from a Source to a Sink. It runs once. Counts is safe
// for concurrent use.
type Pipeline struct {
	cfg       Config
	source    Source
	codec     Codec
	model     Model
	sink      Sink
	tel       Telemetry
	telemetry *stageTelemetry
	tracing   *tracing // nil = off
	counts    counters
	slots     *slots
	resume    *resumeQueue
	inbox     *inbox
	batcher   *batcher
	sizing    *sizing
	joined    bool // workers decode what they run
	device    *deviceWatch
	lanes     laneSet
	stopping  chan struct{} // closed when a stop begins: nothing waits for a device any more
}

// New checks cfg and puts a pipeline together. A nil tel reports nowhere.
func New(cfg Config, src Source, codec Codec, model Model, sink Sink, tel *Telemetry) (*Pipeline, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p := &Pipeline{
		cfg: cfg.withDefaults(), source: src, codec: codec, model: model, sink: sink, tel: tel.withDefaults(),
		slots: newSlots(cfg.MaxInFlight), resume: newResumeQueue(), stopping: make(chan struct{}),
	}
	p.batcher = newBatcher(p.cfg, model.Signature())
	p.sizing = newSizing(p.batcher.maxRows)
	p.joined = p.cfg.Workers >= p.cfg.Decoders
	wake := make(chan struct{}, 1)
	if p.joined { // the same goroutines take from both
		wake = p.batcher.wake
	} else {
		p.batcher.waiting = NewBudget(aheadBytes)
	}
	p.inbox = newInbox(max(inboxItems, 2*p.cfg.Workers*p.batcher.maxRows), wake)
	p.device = newDeviceWatch(&p.tel)
	p.telemetry = newStageTelemetry(p)
	p.tracing = newTracing(p.cfg, p.tel.Tracer)
	return p, nil
}

// Run carries items until ctx is done or the source is exhausted.
//
// When ctx ends it stops in the order of I7: no more receiving, what no worker
// has begun is dropped, running batches finish, the contiguous prefix of each
// partition is delivered, the sink is flushed; then it returns nil. After
// DrainTimeout the work is cut and it returns ErrDrainTimeout. An exhausted
// source (io.EOF) is carried to the end. An error of the source stops the
// pipeline as the end of ctx does and is returned.
func (p *Pipeline) Run(ctx context.Context) error {
	workCtx, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	finished := make(chan error, 1)
	// Ends when the inbox is closed and everything received has its outcome, or
	// when the work is cut.
	go func() { finished <- p.work(workCtx) }()

	err := p.receive(ctx)
	p.inbox.close()
	if errors.Is(err, io.EOF) {
		select {
		case err = <-finished:
			return err
		case <-ctx.Done():
			err = nil
		}
	}
	return errors.Join(err, p.stop(finished, cut))
}

// stop drains within DrainTimeout and cuts the work after it (I7).
func (p *Pipeline) stop(finished <-chan error, cut context.CancelCauseFunc) error {
	p.lanes.each((*Partition).Drain)
	close(p.stopping) // after it: who stops waiting for a device retreats from a barrier
	p.tel.Logger.Info("draining", "in_flight", p.slots.used.Load(), "timeout", p.cfg.DrainTimeout)
	timer := time.NewTimer(p.cfg.DrainTimeout)
	defer timer.Stop()
	select {
	case err := <-finished:
		return err
	case <-timer.C:
	}
	left := p.slots.used.Load()
	p.lanes.each(func(lane *Partition) { lane.close() })
	cut(ErrDrainTimeout)
	timer.Reset(cutGrace)
	select {
	case <-finished:
	case <-timer.C: // a model that does not return; the process ends without it
	}
	return fmt.Errorf("%w: %d items still in flight after %s: what no commit covers comes again", ErrDrainTimeout, left, p.cfg.DrainTimeout)
}

// work runs the stages after receive until the inbox is closed and all is settled.
func (p *Pipeline) work(ctx context.Context) error {
	var decoders, workers, resuming sync.WaitGroup
	delivered := make(chan struct{})
	resuming.Go(func() { p.resume.run(ctx, delivered) }) // ends with delivered
	if p.joined {
		decoders.Add(p.cfg.Workers)
	} else {
		for range p.cfg.Decoders {
			decoders.Go(func() { p.decodeAll(ctx) }) // ends with the inbox
		}
	}
	for range p.cfg.Workers {
		workers.Go(func() { // ends with the batcher
			w := newWorker(p)
			defer w.close()
			if p.joined {
				w.carryAll(ctx) // ends with the inbox
				decoders.Done()
			}
			w.run(ctx)
		})
	}
	decoders.Wait()
	p.batcher.close()
	workers.Wait()
	err := p.flush(ctx)
	close(delivered)
	resuming.Wait()
	p.telemetry.flush()
	return errors.Join(err, p.Counts().check())
}

// flush waits until nothing is in flight. A flush ends with what was sent before
// it; outcomes that a full gate held back are sent, and flushed, after it.
func (p *Pipeline) flush(ctx context.Context) error {
	for {
		if err := p.sink.Flush(ctx); err != nil && ctx.Err() == nil {
			p.tel.Logger.Warn("flush the sink", "error", err)
		}
		before := p.slots.used.Load()
		if before == 0 {
			return nil
		}
		if err := p.slots.until(ctx, func(used int64) bool { return used < before }); err != nil {
			return err
		}
	}
}
