package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
	"github.com/sluice-ml/sluice/deploy/bench/stats"
)

// goal is a row of the table of goals.
type goal struct {
	metric   string
	bound    float64
	atMost   bool
	estimate stats.Estimate
	against  string
}

// unfavourable is the end of the interval that counts.
func (g goal) unfavourable() float64 {
	if g.atMost {
		return g.estimate.High
	}
	return g.estimate.Low
}

// verdict is MET only if the unfavourable end is within the bound.
func (g goal) verdict() string {
	switch end := g.unfavourable(); {
	case math.IsNaN(end):
		return "not measured"
	case g.atMost && end <= g.bound, !g.atMost && end >= g.bound:
		return "MET"
	default:
		return "NOT MET"
	}
}

func (g goal) wanted() string {
	if g.atMost {
		return "at most " + number(g.bound)
	}
	return "at least " + number(g.bound)
}

// isRival tells a rival from ourselves, the limits, and what was published.
func isRival(name string) bool {
	i := slices.IndexFunc(lab.Contenders, func(c *lab.Contender) bool { return c.Name == name })
	return i >= 0 && !lab.Contenders[i].Null && !strings.HasPrefix(name, "sluice") && name != "crayfish"
}

// contenders are the names that have legs of a point and payload, in the order
// of the bench; variants come last.
func (s *store) contenders(point, payload string) []string {
	var names []string
	for _, c := range lab.Contenders {
		if slices.ContainsFunc(s.legs, func(g leg) bool { return g.Point == point && g.Payload == payload && g.Contender == c.Name }) {
			names = append(names, c.Name)
		}
	}
	for _, g := range s.legs {
		if g.Point == point && g.Payload == payload && !slices.Contains(names, g.Contender) {
			names = append(names, g.Contender)
		}
	}
	return names
}

// best is the rival with the highest median of a figure, or the lowest; "" where
// none has one.
func (s *store) best(point, payload, variant string, figure func(*leg) float64, lowest bool) string {
	name, value := "", math.NaN()
	for _, c := range s.contenders(point, payload) {
		m := s.median(key{point, payload, c, variant, 0}, figure)
		if isRival(c) && (name == "" || lowest && m < value || !lowest && m > value) && !math.IsNaN(m) {
			name, value = c, m
		}
	}
	return name
}

func none() stats.Estimate {
	return stats.Estimate{Median: math.NaN(), Low: math.NaN(), High: math.NaN()}
}

// against is ours over a rival's, paired by round.
func (s *store) against(point, payload, variant, rival string, figure func(*leg) float64) stats.Estimate {
	if rival == "" {
		return none()
	}
	return stats.Paired(s.series(key{point, payload, "sluice", variant, 0}, figure), s.series(key{point, payload, rival, variant, 0}, figure))
}

// goals are the rows of the table, in its order.
func (b *bench) goals() []goal {
	s := b.store
	var all []goal
	add := func(metric string, bound float64, atMost bool, e stats.Estimate, against string) {
		all = append(all, goal{metric, bound, atMost, e, against})
	}
	best := func(payload string) string { return s.best("drain", payload, "", rate, false) }
	for _, d := range []struct {
		metric, payload string
		bound           float64
	}{{"drain, JSON of 784 floats", "json", 2}, {"drain, raw float32", "raw", 1.5}, {"drain, 1.2 KB event with a tree ensemble", "event", 1.5}} {
		add(d.metric+", over the best rival", d.bound, false, s.against("drain", d.payload, "", best(d.payload), rate), best(d.payload))
	}
	published := stats.Paired(s.series(key{"drain", "json", "sluice", "", 0}, rate), s.series(key{"drain", "crayfish", "crayfish", "", 0}, rate))
	add("drain, JSON, over the adapter as published", 10, false, published, "crayfish")
	for payload, bound := range map[string]float64{"json": 0.88, "raw": 0.85} {
		share := stats.Paired(s.series(key{"limits", payload, "sluice", "", 0}, rate), s.bounds(payload))
		add("share of the additive limit, "+payload, bound, false, share, "1/(1/kafka + 1/decode + 1/ort + 1/encode)")
	}
	slices.SortFunc(all[4:], func(a, b goal) int { return -int(100 * (a.bound - b.bound)) })
	for _, payload := range []string{"json", "raw", "event"} {
		once := s.series(key{"drain", payload, lab.ExactlyOnce, "", 0}, rate)
		add("drain, exactly-once over at least once, "+payload, 0.95, false, stats.Paired(once, s.series(key{"drain", payload, "sluice", "", 0}, rate)), "sluice")
	}
	raw := s.series(key{"limits", "tokens", partORT, "", 0}, func(g *leg) float64 { return g.Limit.Rate })
	add("transformer, over onnxruntime alone", 0.95, false, stats.Paired(s.series(key{"limits", "tokens", "sluice", "", 0}, rate), raw), partORT)
	cheapest := s.best("drain", "json", "", cpu, true)
	add("CPU s per million, JSON, over the most frugal rival", 0.5, true, s.against("drain", "json", "", cheapest, cpu), cheapest)
	all = append(all, b.latencyGoals()...)
	all = append(all, b.batchingGoals()...)
	add("peak memory, JSON, over the Python loop", 0.6, true, s.against("drain", "json", "", "python x1", peak), "python x1")
	add("peak memory, JSON, over the JVM", 0.25, true, s.against("drain", "json", "", "streams", peak), "streams")
	return append(all, b.growthGoals()...)
}

func p99(g *leg) float64 {
	if g.Latency == nil || g.Latency.Void != "" {
		return math.NaN()
	}
	return g.Latency.P99
}

func (b *bench) latencyGoals() (all []goal) {
	s, payload := b.store, b.latencyPayload
	for variant, bound := range map[string]float64{"50 %": 0.5, "80 %": 0.4, "95 %": 0.25} {
		rival := s.best("latency", payload, variant, p99, true)
		all = append(all, goal{"p99 at " + variant + " of the best rival's capacity, over the best rival's", bound, true, s.against("latency", payload, variant, rival, p99), rival})
	}
	slices.SortFunc(all, func(a, b goal) int { return int(100 * (b.bound - a.bound)) })
	floor := fmt.Sprintf("%.0f/s", b.floor)
	all = append(all, goal{"p99 at " + floor + ", over the null worker's", 1.2, true, s.against("latency", payload, floor, "nullworker", p99), "nullworker"})
	ratio := s.searched(payload, "sluice", smooth) / s.searched(payload, "sluice", sustained)
	return append(all, goal{"highest rate with p99 below 50 ms, over the highest sustained for 60 s", 0.9, false, stats.Estimate{Median: ratio, Low: ratio, High: ratio, N: 1}, "sluice"})
}

func (b *bench) batchingGoals() (all []goal) {
	s := b.store
	for _, payload := range []string{"json", "tokens"} {
		of := func(variant string) []float64 { return s.series(key{"batching", payload, "sluice", variant, 0}, rate) }
		name, value := "", 0.0
		for _, rows := range staticRows {
			v := fmt.Sprintf("max_rows=%d", rows)
			if m := stats.Median(present(of(v))); m > value {
				name, value = v, m
			}
		}
		all = append(all, goal{"self-tuned batching over the best static one, " + payload, 0.97, false, stats.Paired(of(tuned), of(name)), name},
			goal{"self-tuned batching over batch 1, " + payload, 1, false, stats.Paired(of(tuned), of("max_rows=1")), "max_rows=1"})
	}
	return all
}

// The bounds of growth. "No cliff" is taken as no less than half.
var growthBounds = map[string]float64{
	"1 partition": 0.9, "2 partitions": 0.9, "8 partitions": 0.9, "2 members": 0.95,
	"1,000 partitions": 0.5, "100,000 waiting per partition": 0.9,
}

func (b *bench) growthGoals() (all []goal) {
	for _, v := range growths {
		if bound, ok := growthBounds[v.variant]; ok {
			of := func(variant string) []float64 {
				return b.store.series(key{"growth", v.payload.Name, "sluice", variant, 0}, rate)
			}
			all = append(all, goal{"growth: " + v.variant + ", " + v.payload.Name, bound, false, stats.Paired(of(v.variant), of(usual)), usual})
		}
	}
	return all
}
