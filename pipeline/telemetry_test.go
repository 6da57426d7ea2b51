package pipeline_test

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-ml/sluice/internal/metrics"
	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/pipeline/pipelinetest"
)

var stages = []string{"broker", "decode", "queue", "batch", "infer", "encode", "order", "produce"}

func stageSeconds(r *metrics.Registry, stage string) *metrics.Series {
	return r.Histogram("sluice_stage_seconds", "", metrics.Seconds, "stage").With(stage)
}

func TestStagesSumUpToTheWhole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reg := metrics.NewRegistry()
		r := newRig(pipelinetest.SourceConfig{Partitions: 2, PerPartition: 300, Ordered: true, Most: 50, Shape: func(it *pipeline.Item) {
			it.Timestamp -= 40 // published 40 ms before the fetch
			if it.Offset == 10 {
				it.Err = nil
			}
		}, Value: func(_ int32, offset int64) []byte {
			switch offset % 20 {
			case 3:
				return nil
			case 7:
				return []byte("poison")
			}
			return []byte("1")
		}})
		r.tel = &pipeline.Telemetry{Metrics: reg}
		r.cfg.MaxDelay = 7 * time.Millisecond
		r.model.Delay, r.sink.Delay, r.sink.Shuffle = 11*time.Millisecond, 20*time.Millisecond, true

		counts := r.run(t)

		sum := 0.0
		for _, stage := range stages {
			sum += stageSeconds(reg, stage).Value()
		}
		whole := reg.Histogram("sluice_publish_to_prediction_seconds", "", metrics.Seconds).With()
		if math.Abs(sum-whole.Value()) > 1e-9*whole.Value() {
			t.Errorf("stages sum up to %v s, want the whole, %v s", sum, whole.Value())
		}
		if whole.Count() != 600 {
			t.Errorf("%d items timed, want 600", whole.Count())
		}
		items := reg.Counter("sluice_items", "", "outcome")
		for outcome, want := range map[string]int64{"predicted": counts.Predicted, "dead_lettered": counts.DeadLettered, "skipped": counts.Skipped} {
			if got := items.With(outcome).Count(); int64(got) != want || want == 0 {
				t.Errorf("sluice_items_total{outcome=%q} = %d, want %d", outcome, got, want)
			}
		}
		if got := stageSeconds(reg, "infer").Count(); int64(got) != counts.Predicted {
			t.Errorf("%d items have an infer stage, want the %d that ran", got, counts.Predicted)
		}
	})
}

func TestStagesMeasureWhatTheyName(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reg := metrics.NewRegistry()
		r := newRig(pipelinetest.SourceConfig{PerPartition: 1, Follow: true, Shape: func(it *pipeline.Item) { it.Timestamp -= 1000 }})
		r.tel = &pipeline.Telemetry{Metrics: reg}
		r.cfg.MaxDelay = 3 * time.Second
		r.model.Delay, r.sink.Delay = 5*time.Second, 7*time.Second
		stop, done := r.start(t)
		time.Sleep(time.Minute)
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}

		for stage, want := range map[string]float64{"broker": 1, "decode": 0, "queue": 0, "batch": 3, "infer": 5, "encode": 0, "order": 0, "produce": 7} {
			if got := stageSeconds(reg, stage).Value(); math.Abs(got-want) > 1e-3 {
				t.Errorf("stage %s took %v s, want %v", stage, got, want)
			}
		}
	})
}

func TestOrderStageIsTheWaitForAnEarlierOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reg := metrics.NewRegistry()
		r := newRig(pipelinetest.SourceConfig{PerPartition: 2, Ordered: true})
		r.tel = &pipeline.Telemetry{Metrics: reg}
		r.cfg.MaxRows, r.cfg.RunTimeout = 1, 10*time.Second
		r.model.HangOn = at(0)

		r.run(t)

		if got := stageSeconds(reg, "order").Value(); math.Abs(got-10) > 1e-3 {
			t.Errorf("order took %v s, want the 10 s that the first one hung", got)
		}
	})
}

func TestClockSkewIsClampedAndCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reg := metrics.NewRegistry()
		r := newRig(pipelinetest.SourceConfig{PerPartition: 10, Ordered: true, Shape: func(it *pipeline.Item) { it.Timestamp += 3600_000 }})
		r.tel = &pipeline.Telemetry{Metrics: reg}
		r.sink.Delay = time.Second

		r.run(t)

		broker := stageSeconds(reg, "broker")
		whole := reg.Histogram("sluice_publish_to_prediction_seconds", "", metrics.Seconds).With().Value()
		if broker.Value() != 0 || broker.Count() != 10 || math.Abs(whole-10) > 1e-3 {
			t.Errorf("broker = %v s for %d items, whole %v s; want 0 for 10 and 10 s", broker.Value(), broker.Count(), whole)
		}
		if got := reg.Counter("sluice_clock_skew", "").With().Count(); got != 10 {
			t.Errorf("sluice_clock_skew_total = %d, want 10", got)
		}
	})
}

func TestGaugesShowWhatIsInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reg := metrics.NewRegistry()
		r := newRig(pipelinetest.SourceConfig{PerPartition: 20, Ordered: true})
		r.tel = &pipeline.Telemetry{Metrics: reg}
		r.cfg.Budget = pipeline.NewBudget(1000)
		r.sink.Delay = 10 * time.Second
		_, done := r.start(t)
		time.Sleep(4 * time.Second)

		if _, err := reg.Produce(t.Context()); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]float64{
			"sluice_in_flight_items": 20, "sluice_oldest_in_flight_seconds": 4, "sluice_in_flight_bytes": float64(r.cfg.Budget.Used()),
		} {
			if got := reg.Gauge(name, "").With().Value(); math.Abs(got-want) > 1e-3 || want == 0 {
				t.Errorf("%s = %v, want %v", name, got, want)
			}
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}
