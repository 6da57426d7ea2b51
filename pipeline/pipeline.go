package pipeline

import (
	"context"
	"errors"
)

// ErrDrainTimeout is Run's result when work was cut because the drain took
// longer than DrainTimeout; what was cut is uncommitted and comes again.
var ErrDrainTimeout = errors.New("drain timeout")

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
	counts    counters
	slots     *slots
	resume    *resumeQueue
}

// New checks cfg and puts a pipeline together. A nil tel reports nowhere.
func New(cfg Config, src Source, codec Codec, model Model, sink Sink, tel *Telemetry) (*Pipeline, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	t := tel.withDefaults()
	p := &Pipeline{
		cfg: cfg.withDefaults(), source: src, codec: codec, model: model, sink: sink, tel: t,
		slots: newSlots(cfg.MaxInFlight), resume: newResumeQueue(),
	}
	p.telemetry = newStageTelemetry(p)
	return p, nil
}

// Run carries items until ctx is done or the source is exhausted.
func (p *Pipeline) Run(ctx context.Context) error { return errors.New("not there yet") }

func (p *Pipeline) deliver(ctx context.Context, items []*Item) { p.sink.Send(ctx, items) }
func (it *Item) stops() bool                                   { return false }
func stopError(it *Item) error                                 { return it.Err }

type itemTrace struct{}
type stageTelemetry struct{}

func newStageTelemetry(*Pipeline) *stageTelemetry         { return &stageTelemetry{} }
func (s *stageTelemetry) settled(it *Item, o Outcome) {}
