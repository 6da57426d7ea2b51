// Package metrics holds counters, gauges and histograms that cost one atomic
// add on the hot path, and hands them to OpenTelemetry as an external producer
// (sdk/metric.Producer), so that Prometheus and OTLP read the same numbers.
// The OpenTelemetry instruments themselves look up attribute sets on each
// record, which costs more than decoding a small message.
package metrics

import (
	"math"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
)

// Registry holds every metric of one process. Safe for concurrent use.
type Registry struct {
	mu       sync.Mutex
	families []*family
	byName   map[string]*family
	collect  []func()
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry { return &Registry{byName: map[string]*family{}} }

type kind uint8

const (
	counterKind kind = iota
	gaugeKind
	histogramKind
)

type family struct {
	name, help, unit string
	kind             kind
	labels           []string
	bounds           []float64

	mu     sync.Mutex
	series map[string]*Series
}

// Vec is a metric with labels.
type Vec struct{ f *family }

// Series is one labelled time series: keep it, do not look it up per record.
// Safe for concurrent use; all methods are lock-free.
type Series struct {
	values  []string
	bounds  []float64
	count   atomic.Uint64 // counter value, or histogram count
	bits    atomic.Uint64 // gauge value, or histogram sum, as float64 bits
	buckets []atomic.Uint64
	last    atomic.Pointer[Exemplar]
}

// Exemplar ties an observation to a trace.
type Exemplar struct {
	Value           float64
	UnixNano        int64
	TraceID, SpanID []byte
}

// Counter registers a counter; name without the _total suffix.
func (r *Registry) Counter(name, help string, labels ...string) Vec {
	return r.add(name, help, "", counterKind, nil, labels)
}

// Gauge registers a gauge.
func (r *Registry) Gauge(name, help string, labels ...string) Vec {
	return r.add(name, help, "", gaugeKind, nil, labels)
}

// Histogram registers a histogram with the given upper bounds.
func (r *Registry) Histogram(name, help string, bounds []float64, labels ...string) Vec {
	return r.add(name, help, "", histogramKind, bounds, labels)
}

// OnCollect registers a function that refreshes gauges before each collection.
func (r *Registry) OnCollect(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.collect = append(r.collect, f)
}

// add returns the family of that name, making it the first time: two parts of
// the program may name the same metric.
func (r *Registry) add(name, help, unit string, k kind, bounds []float64, labels []string) Vec {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f, ok := r.byName[name]; ok {
		if f.kind != k || len(f.labels) != len(labels) {
			panic("BUG: metric " + name + " registered twice with different shapes")
		}
		return Vec{f}
	}
	f := &family{name: name, help: help, unit: unit, kind: k, labels: labels, bounds: bounds, series: map[string]*Series{}}
	r.families = append(r.families, f)
	r.byName[name] = f
	return Vec{f}
}

// With returns the series of these label values, in the order of the labels.
func (v Vec) With(values ...string) *Series {
	if len(values) != len(v.f.labels) {
		panic("BUG: metric " + v.f.name + " wants labels " + strings.Join(v.f.labels, ","))
	}
	key := strings.Join(values, "\x00")
	v.f.mu.Lock()
	defer v.f.mu.Unlock()
	s, ok := v.f.series[key]
	if !ok {
		s = &Series{values: append([]string(nil), values...), bounds: v.f.bounds}
		if v.f.kind == histogramKind {
			s.buckets = make([]atomic.Uint64, len(v.f.bounds)+1)
		}
		v.f.series[key] = s
	}
	return s
}

// Remove drops a series (a partition that is no longer ours).
func (v Vec) Remove(values ...string) {
	v.f.mu.Lock()
	defer v.f.mu.Unlock()
	delete(v.f.series, strings.Join(values, "\x00"))
}

// Add adds n to a counter.
func (s *Series) Add(n uint64) { s.count.Add(n) }

// Count is a counter's value, or how many observations a histogram has.
func (s *Series) Count() uint64 { return s.count.Load() }

// Set sets a gauge.
func (s *Series) Set(v float64) { s.bits.Store(math.Float64bits(v)) }

// Value is a gauge's value, or a histogram's sum.
func (s *Series) Value() float64 { return math.Float64frombits(s.bits.Load()) }

// Observe adds one observation to a histogram.
func (s *Series) Observe(v float64) { s.ObserveN(v, 1) }

// ObserveN adds the same observation n times, for items that shared a batch.
func (s *Series) ObserveN(v float64, n uint64) {
	if n == 0 {
		return
	}
	s.buckets[sort.SearchFloat64s(s.bounds, v)].Add(n)
	s.count.Add(n)
	for {
		old := s.bits.Load()
		if s.bits.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+v*float64(n))) {
			return
		}
	}
}

// SetExemplar attaches the latest sampled observation.
func (s *Series) SetExemplar(e *Exemplar) { s.last.Store(e) }

// Quantile estimates the q-quantile (0..1) of a histogram by linear
// interpolation inside its bucket; 0 when empty.
func (s *Series) Quantile(q float64) float64 {
	total := s.count.Load()
	if total == 0 {
		return 0
	}
	rank, seen := q*float64(total), 0.0
	for i := range s.buckets {
		n := float64(s.buckets[i].Load())
		if n > 0 && seen+n >= rank {
			low := 0.0
			if i > 0 {
				low = s.bounds[i-1]
			}
			high := low
			if i < len(s.bounds) {
				high = s.bounds[i]
			}
			return low + (high-low)*(rank-seen)/n
		}
		seen += n
	}
	return s.bounds[len(s.bounds)-1]
}

// Seconds are bounds for durations, 100 us to 60 s.
var Seconds = []float64{
	0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
	0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
}

// Rows are bounds for batch sizes.
var Rows = []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}
