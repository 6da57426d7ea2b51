package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/sluice-ml/sluice/internal/metrics"
)

// shutdownLimit is how long the end may wait for a collector.
const shutdownLimit = 2 * time.Second

// instrumentation is the scope of our spans.
const instrumentation = "github.com/sluice-ml/sluice"

// Options are what the environment does not say.
type Options struct {
	// Env reads the environment; the exporters read the process' own besides.
	Env func(name string) string
	// Registry holds the process' metrics.
	Registry *metrics.Registry
	Logger   *slog.Logger
	// Version of the program, for service.version.
	Version string
	// MaxLinks is the largest batch: a batch's span links to all its members.
	MaxLinks int
	// SampleRatio of new traces unless OTEL_TRACES_SAMPLER says otherwise; 0 is
	// the default of 0.01.
	SampleRatio float64
}

// Providers are what was set up. Safe for concurrent use.
type Providers struct {
	traces  *sdktrace.TracerProvider // nil when tracing is off
	metrics *meter
	logger  *slog.Logger
}

// Start sets everything up. It contacts nobody: exporters connect when they
// have something to send. An error is a wrong OTEL_ value.
func Start(ctx context.Context, o Options) (*Providers, error) {
	res, err := describe(ctx, o)
	if err != nil {
		return nil, err
	}
	p := &Providers{logger: o.Logger}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		o.Logger.Warn("telemetry is not delivered", "error", err.Error())
	}))
	if p.traces, err = startTraces(ctx, o, res); err != nil {
		return nil, err
	}
	if p.metrics, err = startMetrics(ctx, o, res); err != nil {
		return nil, errors.Join(err, p.Shutdown(ctx))
	}
	return p, nil
}

// Tracer makes spans; nil when tracing is off.
func (p *Providers) Tracer() trace.Tracer {
	if p.traces == nil {
		return nil
	}
	return p.traces.Tracer(instrumentation)
}

// Shutdown sends what is left, for at most two seconds, also when ctx is done.
func (p *Providers) Shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownLimit)
	defer cancel()
	var errs []error
	if p.traces != nil {
		errs = append(errs, p.traces.Shutdown(ctx))
	}
	if p.metrics != nil {
		errs = append(errs, p.metrics.shutdown(ctx))
	}
	return errors.Join(errs...)
}
