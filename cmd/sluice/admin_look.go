package main

import (
	"context"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	consumer "github.com/sluice-ml/sluice/consumers/kafka"
	"github.com/sluice-ml/sluice/internal/metrics"
	"github.com/sluice-ml/sluice/pipeline"
)

// look is the service as an operator wants to see it: the status page and
// GET /status.
type look struct {
	State   string   `json:"state"` // starting, ready, not ready, draining
	Reasons []string `json:"reasons"`
	Version string   `json:"version"`
	Uptime  string   `json:"uptime"`

	Input, Output string           `json:"-"`
	Model         *modelMetadata   `json:"model"`
	Alone         string           `json:"alone,omitempty"`
	Group         *consumer.Status `json:"group"`
	Counts        pipeline.Counts  `json:"counts"`

	ReceivedPerSecond  float64   `json:"received_per_second"`
	PredictedPerSecond float64   `json:"predicted_per_second"`
	PerSecond          []float64 `json:"-"`

	LagRecords int64   `json:"lag_records"`
	LagSeconds float64 `json:"lag_seconds"`

	LatencyP50 float64          `json:"latency_p50_seconds"`
	LatencyP99 float64          `json:"latency_p99_seconds"`
	MeanRows   float64          `json:"mean_batch_rows"`
	Batches    []bar            `json:"batch_rows"`
	Reasoned   map[string]int64 `json:"batches_by_reason"`
	Stages     []stageTime      `json:"stages"`
}

// bar is one column of a distribution.
type bar struct {
	UpTo  float64 `json:"up_to"` // 0 for the last, which has no bound
	Count uint64  `json:"count"`
	Share float64 `json:"-"` // of the largest
}

// stageTime is a stage's mean, and its share of the whole.
type stageTime struct {
	Name  string  `json:"name"`
	Mean  float64 `json:"mean_seconds"`
	P99   float64 `json:"p99_seconds"`
	Share float64 `json:"share"`
}

func (a *admin) look(ctx context.Context) *look {
	l := &look{
		State: "ready", Reasons: a.unready(false), Version: version, Uptime: time.Since(a.began).Round(time.Second).String(),
		Output: a.cfg.Output.Topic, Reasoned: map[string]int64{},
	}
	s := a.running.Load()
	switch {
	case a.draining.Load():
		l.State = "draining"
	case s == nil:
		l.State = "starting"
	case len(l.Reasons) > 0:
		l.State = "not ready"
	}
	if s == nil {
		return l
	}
	model, status := describeModel(s.model), s.source.Status()
	l.Model, l.Group, l.Counts, l.Alone = &model, &status, s.pipeline.Counts(), s.model.Signature().AloneReason
	l.ReceivedPerSecond, l.PredictedPerSecond, l.PerSecond = a.history.rates()
	for _, p := range status.Partitions {
		l.LagRecords += p.LagRecords
		l.LagSeconds = max(l.LagSeconds, p.LagSeconds)
	}
	l.measure(ctx, s.registry)
	return l
}

// measure reads the registry as a collection does.
func (l *look) measure(ctx context.Context, registry *metrics.Registry) {
	scopes, err := registry.Produce(ctx)
	if err != nil {
		return // it has no errors
	}
	for _, scope := range scopes {
		for _, m := range scope.Metrics {
			l.take(m)
		}
	}
	total := 0.0
	for _, s := range l.Stages {
		total += s.Mean
	}
	for i := range l.Stages {
		if total > 0 {
			l.Stages[i].Share = l.Stages[i].Mean / total
		}
	}
}

func (l *look) take(m metricdata.Metrics) {
	switch data := m.Data.(type) {
	case metricdata.Histogram[float64]:
		l.takeHistogram(m.Name, data.DataPoints)
	case metricdata.Sum[int64]:
		if m.Name == "sluice_batches" {
			for _, p := range data.DataPoints {
				l.Reasoned[label(p.Attributes, "reason")] += p.Value
			}
		}
	}
}

func (l *look) takeHistogram(name string, points []metricdata.HistogramDataPoint[float64]) {
	for _, p := range points {
		switch name {
		case "sluice_publish_to_prediction_seconds":
			l.LatencyP50, l.LatencyP99 = quantile(p, 0.5), quantile(p, 0.99)
		case "sluice_batch_rows":
			l.MeanRows, l.Batches = mean(p), bars(p)
		case "sluice_stage_seconds":
			l.Stages = append(l.Stages, stageTime{Name: label(p.Attributes, "stage"), Mean: mean(p), P99: quantile(p, 0.99)})
		}
	}
	if name == "sluice_stage_seconds" {
		slices.SortFunc(l.Stages, func(a, b stageTime) int { return stageOrder(a.Name) - stageOrder(b.Name) })
	}
}

// stageOrder is the journey's order.
func stageOrder(name string) int {
	return slices.Index([]string{"broker", "decode", "queue", "batch", "infer", "encode", "order", "produce"}, name)
}

func label(set attribute.Set, name string) string {
	v, _ := set.Value(attribute.Key(name))
	return v.AsString()
}

func mean(p metricdata.HistogramDataPoint[float64]) float64 {
	if p.Count == 0 {
		return 0
	}
	return p.Sum / float64(p.Count)
}

// quantile interpolates inside a bucket; above the last bound it is that bound.
func quantile(p metricdata.HistogramDataPoint[float64], q float64) float64 {
	rank, seen := q*float64(p.Count), 0.0
	for i, n := range p.BucketCounts {
		if n == 0 || seen+float64(n) < rank {
			seen += float64(n)
			continue
		}
		if i == len(p.Bounds) {
			break
		}
		low := 0.0
		if i > 0 {
			low = p.Bounds[i-1]
		}
		return low + (p.Bounds[i]-low)*(rank-seen)/float64(n)
	}
	if p.Count == 0 {
		return 0
	}
	return p.Bounds[len(p.Bounds)-1]
}

func bars(p metricdata.HistogramDataPoint[float64]) []bar {
	all, most := []bar{}, uint64(1)
	for i, n := range p.BucketCounts {
		b := bar{Count: n}
		if i < len(p.Bounds) {
			b.UpTo = p.Bounds[i]
		}
		all, most = append(all, b), max(most, n)
	}
	for i := range all {
		all[i].Share = float64(all[i].Count) / float64(most)
	}
	return all
}
