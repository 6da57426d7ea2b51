package metrics

import (
	"context"
	"sort"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

var _ sdkmetric.Producer = (*Registry)(nil)

// started is the start time of every cumulative series.
var started = time.Now()

// Produce implements sdk/metric.Producer.
func (r *Registry) Produce(context.Context) ([]metricdata.ScopeMetrics, error) {
	r.mu.Lock()
	families := append([]*family(nil), r.families...)
	collect := append([]func(){}, r.collect...)
	r.mu.Unlock()
	for _, f := range collect {
		f()
	}
	scope := metricdata.ScopeMetrics{Scope: instrumentation.Scope{Name: "github.com/sluice-ml/sluice"}}
	now := time.Now()
	for _, f := range families {
		if m, ok := f.snapshot(now); ok {
			scope.Metrics = append(scope.Metrics, m)
		}
	}
	return []metricdata.ScopeMetrics{scope}, nil
}

func (f *family) snapshot(now time.Time) (metricdata.Metrics, bool) {
	f.mu.Lock()
	series := make([]*Series, 0, len(f.series))
	for _, s := range f.series {
		series = append(series, s)
	}
	f.mu.Unlock()
	if len(series) == 0 {
		return metricdata.Metrics{}, false
	}
	sort.Slice(series, func(i, j int) bool { return less(series[i].values, series[j].values) })
	m := metricdata.Metrics{Name: f.name, Description: f.help, Unit: f.unit}
	switch f.kind {
	case counterKind:
		points := make([]metricdata.DataPoint[int64], len(series))
		for i, s := range series {
			points[i] = metricdata.DataPoint[int64]{Attributes: f.attributes(s), StartTime: started, Time: now, Value: int64(s.count.Load())}
		}
		m.Data = metricdata.Sum[int64]{DataPoints: points, Temporality: metricdata.CumulativeTemporality, IsMonotonic: true}
	case gaugeKind:
		points := make([]metricdata.DataPoint[float64], len(series))
		for i, s := range series {
			points[i] = metricdata.DataPoint[float64]{Attributes: f.attributes(s), Time: now, Value: s.Value()}
		}
		m.Data = metricdata.Gauge[float64]{DataPoints: points}
	case histogramKind:
		points := make([]metricdata.HistogramDataPoint[float64], len(series))
		for i, s := range series {
			points[i] = f.histogram(s, now)
		}
		m.Data = metricdata.Histogram[float64]{DataPoints: points, Temporality: metricdata.CumulativeTemporality}
	}
	return m, true
}

// histogram reads the buckets one by one, so its count is their sum: a reader
// never sees a count that disagrees with the buckets.
func (f *family) histogram(s *Series, now time.Time) metricdata.HistogramDataPoint[float64] {
	p := metricdata.HistogramDataPoint[float64]{
		Attributes: f.attributes(s), StartTime: started, Time: now,
		Bounds: f.bounds, BucketCounts: make([]uint64, len(s.buckets)), Sum: s.Value(),
	}
	for i := range s.buckets {
		p.BucketCounts[i] = s.buckets[i].Load()
		p.Count += p.BucketCounts[i]
	}
	if e := s.last.Load(); e != nil {
		p.Exemplars = []metricdata.Exemplar[float64]{{
			Time: time.Unix(0, e.UnixNano), Value: e.Value, TraceID: e.TraceID, SpanID: e.SpanID,
		}}
	}
	return p
}

func (f *family) attributes(s *Series) attribute.Set {
	kv := make([]attribute.KeyValue, len(f.labels))
	for i, l := range f.labels {
		kv[i] = attribute.String(l, s.values[i])
	}
	return attribute.NewSet(kv...)
}

func less(a, b []string) bool {
	for i := range a {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}
