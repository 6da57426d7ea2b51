package telemetry

import (
	"context"
	"sync/atomic"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/sluice-ml/sluice/internal/metrics"
)

// batcher is the SDK's batch processor with a count of what it drops: the SDK
// keeps its own to itself. It admits at most limit spans that the exporter has
// not taken, which is the SDK's queue, so that the SDK never drops one unseen.
// Ending a span never blocks.
type batcher struct {
	sdktrace.SpanProcessor
	limit   int64
	waiting atomic.Int64
	dropped *metrics.Series
}

var (
	_ sdktrace.SpanProcessor = (*batcher)(nil)
	_ sdktrace.SpanExporter  = (*countingExporter)(nil)
)

func newBatcher(exporter sdktrace.SpanExporter, limit int, registry *metrics.Registry) *batcher {
	b := &batcher{
		limit:   int64(limit),
		dropped: registry.Counter("sluice_dropped_spans", "Spans that did not reach the collector.").With(),
	}
	b.SpanProcessor = sdktrace.NewBatchSpanProcessor(&countingExporter{exporter, b},
		sdktrace.WithMaxQueueSize(limit), sdktrace.WithMaxExportBatchSize(min(limit, sdktrace.DefaultMaxExportBatchSize)))
	return b
}

// OnEnd implements sdktrace.SpanProcessor.
func (b *batcher) OnEnd(s sdktrace.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	if b.waiting.Add(1) > b.limit {
		b.waiting.Add(-1)
		b.dropped.Add(1)
		return
	}
	b.SpanProcessor.OnEnd(s)
}

// countingExporter tells the batcher what left it, and counts what failed.
type countingExporter struct {
	sdktrace.SpanExporter
	of *batcher
}

// ExportSpans implements sdktrace.SpanExporter.
func (e *countingExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	e.of.waiting.Add(-int64(len(spans)))
	if err != nil {
		e.of.dropped.Add(uint64(len(spans)))
	}
	return err
}
