//go:build integration

package main

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// scraped are the series of one look at /metrics.
func scraped(t *testing.T, base string) map[string]float64 {
	t.Helper()
	_, body := fetch(t, base+"/metrics")
	series := map[string]float64{}
	for line := range strings.Lines(body) {
		if name, value, ok := cutLast(strings.TrimSpace(line)); ok && !strings.HasPrefix(line, "#") {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			series[name] = v
		}
	}
	return series
}

func cutLast(line string) (name, value string, ok bool) {
	at := strings.LastIndexByte(line, ' ')
	if at < 0 {
		return "", "", false
	}
	return line[:at], line[at+1:], true
}

// The names that conventions promise to dashboards, and that their values agree
// with each other.
func TestMetricsHaveThePromisedNamesAndAddUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	const n = 2000
	w.put(w.rows(0, n)...)
	w.put(&kgo.Record{Value: []byte("poison")}, &kgo.Record{Value: []byte(`{"x":[1,2,3,4]}`), Headers: of("x-deadline", "1000")}, &kgo.Record{Key: []byte("k")})
	s := start(t, w.flags...)
	s.await("ready")
	base := s.base()
	w.settled()
	eventually(t, "nothing in flight", func() bool { return metric(t, base, "sluice_in_flight_items") == 0 })
	got := scraped(t, base)
	p0, p1 := `{partition="0",topic="`+w.in+`"}`, `{partition="1",topic="`+w.in+`"}`
	for series, want := range map[string]float64{
		`sluice_items_total{outcome="predicted"}`: n, `sluice_items_total{outcome="dead_lettered"}`: 1,
		`sluice_items_total{outcome="expired"}`: 1, `sluice_items_total{outcome="skipped"}`: 1,
		`sluice_in_flight_items`: 0, `sluice_oldest_in_flight_seconds`: 0,
		`sluice_publish_to_prediction_seconds_count`: n + 3, `sluice_batch_rows_sum`: n,
		`sluice_lag_records` + p0: 0, `sluice_lag_records` + p1: 0, `sluice_lag_seconds` + p0: 0, `sluice_lag_seconds` + p1: 0,
	} {
		if v, ok := got[series]; !ok || v != want {
			t.Errorf("%s = %v (there: %v), want %v", series, v, ok, want)
		}
	}
	sums := total(got, "sluice_stage_seconds_sum")
	for _, stage := range []string{"broker", "decode", "queue", "batch", "infer", "order", "encode", "produce"} {
		v, ok := got[`sluice_stage_seconds_count{stage="`+stage+`"}`]
		if !ok || v < n || v > n+3 { // what was never run has no infer
			t.Errorf("stage %s has %v observations, want %d to %d", stage, v, n, n+3)
		}
	}
	if whole := got["sluice_publish_to_prediction_seconds_sum"]; math.Abs(sums-whole) > 0.01*whole || whole <= 0 {
		t.Errorf("the stages add up to %v s, the whole is %v s", sums, whole)
	}
	if received := total(got, "sluice_received_total"); received != n+3 {
		t.Errorf("received %v, want %d", received, n+3)
	}
	if a, b := total(got, "sluice_batches_total"), got["sluice_batch_rows_count"]; a != b || a < 1 {
		t.Errorf("%v batches by reason, %v by size", a, b)
	}
	labels := map[string]bool{
		"topic": true, "partition": true, "group": true, "model": true, "version": true, "device": true,
		"outcome": true, "stage": true, "reason": true, "class": true, "error_class": true, "le": true, "quantile": true,
	}
	for series := range got {
		name, _, _ := strings.Cut(series, "{")
		for _, m := range regexp.MustCompile(`[{,]([a-z_]+)=`).FindAllStringSubmatch(series, -1) {
			if strings.HasPrefix(name, "sluice_") && !labels[m[1]] {
				t.Errorf("%s has the label %s", name, m[1])
			}
		}
	}
	_, body := fetch(t, base+"/metrics")
	for _, name := range []string{"sluice_lost_records_total", "sluice_stopped_partitions", "sluice_in_flight_bytes"} {
		if !strings.Contains(body, name) {
			t.Errorf("no %s", name)
		}
	}
	s.end(exitOK)
}

// total adds the series of one name.
func total(series map[string]float64, name string) float64 {
	sum := 0.0
	for s, v := range series {
		if base, _, _ := strings.Cut(s, "{"); base == name {
			sum += v
		}
	}
	return sum
}
