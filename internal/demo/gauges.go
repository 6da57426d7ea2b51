package demo

import (
	"context"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/sluice-ml/sluice/internal/metrics"
)

// stages are the parts of a message's time in the order it goes through them.
var stages = []string{"broker", "decode", "queue", "batch", "infer", "order", "encode", "produce"}

// sum is a histogram's sum and count.
type sum struct {
	total float64
	count uint64
}

func (s sum) mean() float64 {
	if s.count == 0 {
		return 0
	}
	return s.total / float64(s.count)
}

func (s sum) since(earlier sum) sum { return sum{s.total - earlier.total, s.count - earlier.count} }

// gauges are the service's own numbers, those that others scrape from /metrics.
type gauges struct {
	batchRows sum
	stages    map[string]sum // seconds
	lag       time.Duration  // of the partition that is furthest behind
}

func readGauges(ctx context.Context, registry *metrics.Registry) gauges {
	g := gauges{stages: map[string]sum{}}
	scopes, err := registry.Produce(ctx)
	if err != nil {
		return g // the registry gives none
	}
	for _, scope := range scopes {
		for _, m := range scope.Metrics {
			g.take(m)
		}
	}
	return g
}

func (g *gauges) take(m metricdata.Metrics) {
	switch data := m.Data.(type) {
	case metricdata.Histogram[float64]:
		for _, point := range data.DataPoints {
			s := sum{point.Sum, point.Count}
			switch m.Name {
			case "sluice_batch_rows":
				g.batchRows.total += s.total
				g.batchRows.count += s.count
			case "sluice_stage_seconds":
				g.stages[label(point.Attributes, "stage")] = s
			}
		}
	case metricdata.Gauge[float64]:
		if m.Name != "sluice_lag_seconds" {
			return
		}
		values := make([]float64, 0, len(data.DataPoints))
		for _, point := range data.DataPoints {
			values = append(values, point.Value)
		}
		if len(values) > 0 {
			g.lag = time.Duration(slices.Max(values) * float64(time.Second))
		}
	}
}

func label(set attribute.Set, name attribute.Key) string {
	value, _ := set.Value(name)
	return value.AsString()
}
