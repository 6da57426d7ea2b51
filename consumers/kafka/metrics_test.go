package kafka

import (
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// read collects and returns one series' value, as a scrape would; -1 when there
// is none.
func (r *reader) read(name string, labels map[string]string) float64 {
	scopes, err := r.reg.Produce(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	matches := func(set attribute.Set) bool {
		for k, v := range labels {
			if got, ok := set.Value(attribute.Key(k)); !ok || got.AsString() != v {
				return false
			}
		}
		return true
	}
	for _, m := range scopes[0].Metrics {
		if m.Name != name {
			continue
		}
		switch data := m.Data.(type) {
		case metricdata.Sum[int64]:
			for _, p := range data.DataPoints {
				if matches(p.Attributes) {
					return float64(p.Value)
				}
			}
		case metricdata.Gauge[float64]:
			for _, p := range data.DataPoints {
				if matches(p.Attributes) {
					return p.Value
				}
			}
		}
	}
	return -1
}

func TestLagInRecordsAndSeconds(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(2)
		r := w.reader(w.config(), func(r *reader) { r.hold = holdAll })
		w.until(5*time.Second, "joined", func() bool { return r.assigned() == 2 })
		w.produce(1, 10)
		w.until(5*time.Second, "in hand", func() bool { return r.count() == 10 })
		time.Sleep(30 * time.Second)
		of := func(p int) map[string]string { return map[string]string{"topic": "in", "partition": strconv.Itoa(p)} }
		if got := r.read("sluice_lag_records", of(0)); got != 10 {
			w.Errorf("lag %v records, want 10", got)
		}
		if got := r.read("sluice_lag_seconds", of(0)); got < 30 || got > 32 {
			w.Errorf("lag %v s, want 30", got)
		}
		if got := r.read("sluice_lag_seconds", of(1)); got != 0 {
			w.Errorf("idle partition: lag %v s", got)
		}
		if got := r.read("sluice_received", of(0)); got != 10 {
			w.Errorf("received %v", got)
		}

		r.letGo(nil)
		time.Sleep(time.Second)
		if records, seconds := r.read("sluice_lag_records", of(0)), r.read("sluice_lag_seconds", of(0)); records != 0 || seconds != 0 {
			w.Errorf("lag %v records, %v s after all is done", records, seconds)
		}
	})
}

func TestFutureTimestampsAreNoNegativeLag(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(1)
		r := w.reader(w.config(), func(r *reader) { r.hold = holdAll })
		w.send(&kgo.Record{Topic: "in", Value: []byte("x"), Timestamp: time.Now().Add(time.Hour)})
		w.until(5*time.Second, "in hand", func() bool { return r.count() == 1 })
		if got := r.read("sluice_lag_seconds", map[string]string{"partition": "0"}); got != 0 {
			w.Errorf("lag %v s", got)
		}
	})
}

func TestStoppedPartitionsAreCountedByReason(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(1)
		w.produce(1, 10)
		w.commit(0, 0)
		if err := w.cluster.DeleteRecords("in", 0, 4); err != nil {
			w.Fatal(err)
		}
		r := w.reader(w.config())
		w.until(10*time.Second, "a stop", func() bool {
			return r.read("sluice_stopped_partitions", map[string]string{"reason": reasonOutOfRange}) == 1
		})
		if got := r.read("sluice_stopped_partitions", map[string]string{"reason": reasonOutput}); got != 0 {
			w.Errorf("another reason: %v", got)
		}
		if got := r.read("sluice_lost_records", map[string]string{"partition": "0"}); got != 4 {
			w.Errorf("lost %v", got)
		}
	})
}
