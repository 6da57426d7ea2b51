package metrics_test

import (
	"testing"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/sluice-ml/sluice/internal/metrics"
)

func TestProduceReadsWhatWasRecorded(t *testing.T) {
	t.Parallel()
	r := metrics.NewRegistry()
	r.Counter("items", "items", "outcome").With("predicted").Add(3)
	refreshed := r.Gauge("lag", "lag").With()
	r.OnCollect(func() { refreshed.Set(7) })
	h := r.Histogram("stage", "stage", []float64{1, 2}, "stage").With("infer")
	h.ObserveN(1, 2) // bounds are inclusive, as in Prometheus
	h.Observe(1.5)
	h.Observe(9)

	got, err := r.Produce(t.Context())
	if err != nil || len(got) != 1 || len(got[0].Metrics) != 3 {
		t.Fatalf("Produce() = %v, %v; want three metrics", got, err)
	}
	if sum := got[0].Metrics[0].Data.(metricdata.Sum[int64]); sum.DataPoints[0].Value != 3 {
		t.Errorf("counter = %d, want 3", sum.DataPoints[0].Value)
	}
	if gauge := got[0].Metrics[1].Data.(metricdata.Gauge[float64]); gauge.DataPoints[0].Value != 7 {
		t.Errorf("gauge = %v, want 7: OnCollect runs first", gauge.DataPoints[0].Value)
	}
	p := got[0].Metrics[2].Data.(metricdata.Histogram[float64]).DataPoints[0]
	if p.Count != 4 || p.Sum != 12.5 || p.BucketCounts[0] != 2 || p.BucketCounts[1] != 1 || p.BucketCounts[2] != 1 {
		t.Errorf("histogram = %+v, want buckets 2,1,1 and sum 12.5", p)
	}
}

func TestSameNameIsSameMetric(t *testing.T) {
	t.Parallel()
	r := metrics.NewRegistry()
	r.Counter("a", "", "x").With("1").Add(1)
	r.Counter("a", "", "x").With("1").Add(1)
	if got := r.Counter("a", "", "x").With("1").Count(); got != 2 {
		t.Errorf("count = %d, want 2", got)
	}
}
