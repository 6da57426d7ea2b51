package kafka

import (
	"log/slog"

	"github.com/sluice-ml/sluice/internal/metrics"
	"github.com/sluice-ml/sluice/pipeline"
)

// producerMeters are a producer's metrics.
type producerMeters struct {
	requests       *metrics.Series
	retries        metrics.Vec
	maybeDuplicate *metrics.Series
	buffered       *metrics.Series
	unwritable     *metrics.Series
}

// registry is where metrics go: nowhere that is read when there is no telemetry.
func registry(tel *pipeline.Telemetry) *metrics.Registry {
	if tel == nil || tel.Metrics == nil {
		return metrics.NewRegistry()
	}
	return tel.Metrics
}

// logger is where logs go.
func logger(tel *pipeline.Telemetry) *slog.Logger {
	if tel == nil || tel.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return tel.Logger
}

func newProducerMeters(tel *pipeline.Telemetry) producerMeters {
	r := registry(tel)
	return producerMeters{
		requests:       r.Counter("sluice_produce_requests", "Produce requests sent.").With(),
		retries:        r.Counter("sluice_produce_retries", "Batches that were not written at once, by the broker's answer.", "reason"),
		maybeDuplicate: r.Counter("sluice_maybe_duplicated", "Records that may be in the log twice: their producer id was replaced, or their partition given up, while their fate was unknown.").With(),
		buffered:       r.Gauge("sluice_producer_buffered_bytes", "Encoded records that the broker has not confirmed.").With(),
		unwritable:     r.Gauge("sluice_unwritable_partitions", "Output partitions that refuse records.").With(),
	}
}

// watch refreshes the gauges at each collection.
func (m *producerMeters) watch(tel *pipeline.Telemetry, p *Producer) {
	buffered := m.buffered
	registry(tel).OnCollect(func() { buffered.Set(float64(p.BufferedBytes())) })
}
