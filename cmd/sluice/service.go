package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	consumer "github.com/sluice-ml/sluice/consumers/kafka"
	"github.com/sluice-ml/sluice/internal/config"
	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/internal/metrics"
	"github.com/sluice-ml/sluice/internal/telemetry"
	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/pipeline/onnx"
	producer "github.com/sluice-ml/sluice/producers/kafka"
)

// leaveLimit bounds the last commit and the goodbye to the group, so that the
// end stays within Kubernetes' 30 s: drain, leave, and telemetry's 2 s.
const leaveLimit = 5 * time.Second

// serviceDeps are what a service gets from outside.
type serviceDeps struct {
	Logger *slog.Logger
	// Env reads the environment.
	Env func(name string) string
	// SampleRatio of new traces unless OTEL_TRACES_SAMPLER says otherwise; 0 is
	// the default of 0.01.
	SampleRatio float64
}

// service is the main job, wired: Kafka in, model, Kafka out, and the admin
// server beside it. `run` and `demo` run the same one. It runs once.
type service struct {
	cfg       *config.Config
	log       *slog.Logger
	registry  *metrics.Registry
	providers *telemetry.Providers
	admin     *admin

	client   *kafkawire.Client
	model    *onnx.Model
	source   *consumer.Source
	sink     closingSink
	pipeline *pipeline.Pipeline

	ready chan struct{} // closed when it consumes
}

// closingSink is a sink of either delivery level.
type closingSink interface {
	pipeline.Sink
	Close(ctx context.Context) error
}

var (
	_ closingSink = (*producer.Sink)(nil)
	_ closingSink = (*producer.TransactionalSink)(nil)
)

// newService starts telemetry and the admin server, loads the runtime and the
// model, waits for brokers and topics, and wires the rest. It creates nothing in
// Kafka. When ctx ends meanwhile, the error is its cause.
func newService(ctx context.Context, cfg *config.Config, deps serviceDeps) (*service, error) {
	s := &service{cfg: cfg, log: deps.Logger, registry: metrics.NewRegistry(), ready: make(chan struct{})}
	if err := s.assemble(ctx, deps); err != nil {
		return nil, errors.Join(err, s.close(ctx))
	}
	return s, nil
}

// Ready is closed when the service consumes.
func (s *service) Ready() <-chan struct{} { return s.ready }

// Metrics is the registry of the service.
func (s *service) Metrics() *metrics.Registry { return s.registry }

// AdminAddr is where the admin server listens, "" when it is off.
func (s *service) AdminAddr() string { return s.admin.addr() }

// Run consumes until ctx ends, then drains and closes everything. It returns nil
// after a clean drain, whatever was dead-lettered.
func (s *service) Run(ctx context.Context) error {
	err := s.source.Start(ctx)
	switch {
	case err == nil:
		announced := make(chan struct{})
		running, stopped := context.WithCancel(ctx)
		go func() { // ends when the group is joined, or with the run
			defer close(announced)
			s.announce(running)
		}()
		err = s.pipeline.Run(ctx)
		stopped()
		<-announced
	case interrupted(ctx):
		err = nil
	case errors.Is(err, consumer.ErrTopicMissing):
		err = dependencyErrorf("%w", err)
	}
	s.admin.drain()
	closeErr := s.close(ctx)
	counts := s.pipeline.Counts()
	s.logStopped(counts)
	return errors.Join(s.verdict(err, counts), closeErr)
}

// verdict gives the end of a run its exit code.
func (s *service) verdict(err error, c pipeline.Counts) error {
	switch {
	case errors.Is(err, pipeline.ErrDrainTimeout):
		return &exitError{exitFailure, fmt.Errorf("%w of %v exceeded: %d items are left uncommitted and come again; raise shutdown.drain_timeout or lower input.max_in_flight",
			pipeline.ErrDrainTimeout, s.cfg.Shutdown.DrainTimeout, c.Abandoned+c.InFlight)}
	case errors.Is(err, consumer.ErrConfiguration):
		return usageErrorf("%w", err)
	case errors.Is(err, consumer.ErrReplaced), errors.Is(err, pipeline.ErrSuperseded):
		return &exitError{exitFailure, err}
	default:
		return err
	}
}

// announce says `ready` once the group is joined.
func (s *service) announce(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-s.source.Joined():
		status := s.source.Status()
		s.log.Info("ready", "group", status.Group, "member", status.Member, "partitions", len(status.Partitions))
		close(s.ready)
	}
}

// logStopped says how it all ended.
func (s *service) logStopped(c pipeline.Counts) {
	s.log.Info("stopped", "predicted", c.Predicted, "dead_lettered", c.DeadLettered,
		"expired", c.Expired, "skipped", c.Skipped, "abandoned", c.Abandoned+c.InFlight)
}

// close ends what was started, in the order of I7, within leaveLimit and
// telemetry's own limit. Nil parts were not started.
func (s *service) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveLimit)
	defer cancel()
	var errs []error
	note := func(what string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", what, err))
		}
	}
	if s.source != nil {
		note("leave the group", s.source.Close(ctx, s.leaves()))
	}
	if s.sink != nil {
		note("close the producer", s.sink.Close(ctx))
	}
	if s.client != nil {
		s.client.Close()
	}
	if s.model != nil {
		note("close the model", within(ctx, s.model.Close))
	}
	for _, err := range errs { // the work is done: worth a line, not a failure
		s.log.Warn("close", "error", err.Error())
	}
	var err error
	if s.admin != nil {
		err = s.admin.close(ctx)
	}
	if s.providers != nil {
		if failed := s.providers.Shutdown(ctx); failed != nil {
			s.log.Warn("telemetry is not delivered", "error", failed.Error())
		}
	}
	return err
}

// within runs f, but waits no longer than ctx: a run that never returns must not
// keep a process that is about to end.
func within(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }() // ends with f, or with the process
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// leaves says whether the group hears a goodbye.
func (s *service) leaves() bool {
	switch s.cfg.Shutdown.Leave {
	case "always":
		return true
	case "never":
		return false
	default:
		return s.cfg.Input.Instance == ""
	}
}
