package pipeline

import (
	"log/slog"

	"go.opentelemetry.io/otel/trace"

	"github.com/sluice-ml/sluice/internal/metrics"
)

// Telemetry is what a component reports to. Fields left nil are off: no Tracer
// costs nothing, no Metrics are kept but seen by nobody.
type Telemetry struct {
	Metrics *metrics.Registry
	Tracer  trace.Tracer
	Logger  *slog.Logger
}

// withDefaults is a copy without nil collaborators other than the Tracer.
func (t *Telemetry) withDefaults() Telemetry {
	out := Telemetry{}
	if t != nil {
		out = *t
	}
	if out.Metrics == nil {
		out.Metrics = metrics.NewRegistry()
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	return out
}
