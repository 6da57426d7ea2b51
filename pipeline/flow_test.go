package pipeline_test

import (
	"math"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-ml/sluice/internal/metrics"
	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/pipeline/pipelinetest"
	"github.com/sluice-ml/sluice/schemas"
)

func TestItemsInFlightNeverExceedTheSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		most := int64(0)
		r := newRig(pipelinetest.SourceConfig{Partitions: 3, PerPartition: 2000, Ordered: true})
		r.cfg.MaxInFlight = 37
		r.sink.Delay, r.sink.Shuffle = time.Millisecond, true
		r.model.FailOn = func(*pipeline.Item) bool { // called during runs: a good moment to look
			most = max(most, r.pipe.Counts().InFlight)
			return false
		}
		r.cfg.Workers = 1

		r.run(t)

		if most > 37 || most < 10 {
			t.Errorf("at most %d items in flight, want up to 37 (I4)", most)
		}
	})
}

func TestFullGatePausesDeliveryUntilCommitted(t *testing.T) {
	t.Parallel()
	for name, ordered := range map[string]bool{"ordered": true, "order none": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var wakes atomic.Int64
				gate := pipeline.NewGate(10, func() { wakes.Add(1) })
				r := newRig(pipelinetest.SourceConfig{Partitions: 2, PerPartition: 25, Ordered: ordered, Gate: gate, Follow: true})
				stop, done := r.start(t)

				synctest.Wait()
				if n := len(r.sink.Outcomes()); n < 10 || n > 12 || wakes.Load() == 0 {
					t.Errorf("%d outcomes with a gate of 10 and no commit, %d wakes; want 10, and the committer woken", n, wakes.Load())
				}
				for range 6 {
					r.src.Commit()
					synctest.Wait()
				}
				if n := len(r.sink.Outcomes()); n != 50 {
					t.Errorf("%d outcomes after the commits, want 50", n)
				}
				stop()
				if err := <-done; err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// Nothing can be committed before the slow first record is settled, so a gate
// full of those behind it must let it pass.
func TestFirstRecordPassesAFullGateWithoutOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var lane *pipeline.Partition
		gate := pipeline.NewGate(10, func() {
			go func() { lane.Committed(lane.Position()) }() // ends at once
		})
		r := newRig(pipelinetest.SourceConfig{PerPartition: 25, Gate: gate})
		lane = r.src.Lane(0)
		r.cfg.MaxRows, r.cfg.RunTimeout = 1, time.Second
		r.model.HangOn = at(0)

		if counts := r.run(t); counts.Predicted != 24 || counts.DeadLettered != 1 {
			t.Errorf("Counts() = %+v, want 24 predicted and the first a dead letter", counts)
		}
	})
}

func TestFullGateAsksAgainWhenMoreCanBeCommitted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := make(chan struct{}, 1)
		gate := pipeline.NewGate(10, func() {
			select {
			case asked <- struct{}{}:
			default:
			}
		})
		r := newRig(pipelinetest.SourceConfig{PerPartition: 100, Ordered: true, Gate: gate})
		r.sink.Delay = time.Second // when the gate fills nothing can be committed yet
		_, done := r.start(t)

		for ended := false; !ended; {
			select {
			case <-asked:
				r.src.Commit()
			case err := <-done:
				if err != nil {
					t.Fatal(err)
				}
				ended = true
			case <-time.After(time.Minute):
				t.Fatal("delivery stands still: nobody asked for a commit")
			}
		}

		if n := len(r.sink.Outcomes()); n != 100 {
			t.Errorf("%d outcomes, want 100", n)
		}
	})
}

func TestStopWaitsForHeldOutcomes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := pipeline.NewGate(10, nil)
		r := newRig(pipelinetest.SourceConfig{PerPartition: 25, Ordered: true, Gate: gate, Follow: true})
		stop, done := r.start(t)
		synctest.Wait()

		stop()
		for range 3 {
			time.Sleep(100 * time.Millisecond)
			r.src.Commit()
		}

		if err := <-done; err != nil || len(r.sink.Outcomes()) != 25 {
			t.Errorf("Run() = %v with %d outcomes, want all 25 that had run", err, len(r.sink.Outcomes()))
		}
	})
}

func TestTombstonesFollowThePolicy(t *testing.T) {
	t.Parallel()
	for policy, want := range map[pipeline.Tombstones]pipeline.Counts{
		pipeline.TombstonesPass:       {Received: 10, Predicted: 9, Skipped: 1},
		pipeline.TombstonesSkip:       {Received: 10, Predicted: 9, Skipped: 1},
		pipeline.TombstonesDeadLetter: {Received: 10, Predicted: 9, DeadLettered: 1},
	} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(pipelinetest.SourceConfig{PerPartition: 10, Ordered: true, Value: func(_ int32, offset int64) []byte {
					if offset == 4 {
						return nil
					}
					return []byte("1")
				}})
				r.cfg.Tombstones = policy

				if diff := cmp.Diff(want, r.run(t)); diff != "" {
					t.Errorf("Counts() (-want +got):\n%s", diff)
				}

				written := 0
				for _, o := range r.sink.Outcomes() {
					if o.Offset == 4 {
						written++
						if o.Tombstone != (policy == pipeline.TombstonesPass) {
							t.Errorf("wrote %+v, want a null only with pass", o)
						}
					}
				}
				if wantWritten := map[pipeline.Tombstones]int{pipeline.TombstonesPass: 1, pipeline.TombstonesDeadLetter: 1}[policy]; written != wantWritten {
					t.Errorf("%d outcomes for the tombstone, want %d", written, wantWritten)
				}
				if got := r.src.Lane(0).Position(); got != 10 {
					t.Errorf("position = %d, want 10", got)
				}
			})
		})
	}
}

func TestExpiredItemsAreNotRun(t *testing.T) {
	t.Parallel()
	for policy, written := range map[pipeline.ExpiredPolicy]int{pipeline.ExpiredDeadLetter: 2, pipeline.ExpiredDrop: 0} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				r := newRig(pipelinetest.SourceConfig{PerPartition: 4, Ordered: true, Most: 1, Shape: func(it *pipeline.Item) {
					switch it.Offset {
					case 1: // expired when it came
						it.Headers = append(it.Headers, pipelinetest.DeadlineHeader(start.Add(-time.Second)))
					case 2: // expires behind the slow first run
						it.Headers = append(it.Headers, pipelinetest.DeadlineHeader(start.Add(5*time.Millisecond)))
					}
				}})
				r.cfg.Expired, r.cfg.Workers, r.cfg.MaxRows = policy, 1, 1
				r.model.Delay = 20 * time.Millisecond

				counts := r.run(t)

				if counts.Expired != 2 || counts.Predicted != 2 || len(r.model.Runs()) != 2 {
					t.Errorf("Counts() = %+v after %d runs, want two expired without a run", counts, len(r.model.Runs()))
				}
				if got := len(r.deadLetters()); got != written {
					t.Errorf("dead letters %v, want %d", r.deadLetters(), written)
				}
				if got := r.src.Lane(0).Position(); got != 4 {
					t.Errorf("position = %d, want 4", got)
				}
			})
		})
	}
}

func TestAbsurdTimesOfARecordDoNoHarm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		times := []int64{math.MaxInt64, math.MinInt64, -1, 0, 1 << 60}
		reg := metrics.NewRegistry()
		r := newRig(pipelinetest.SourceConfig{PerPartition: 100, Ordered: true, Shape: func(it *pipeline.Item) {
			it.Timestamp = times[it.Offset%5]
			it.Headers = append(it.Headers, schemas.Header{Key: "x-deadline", Value: strconv.AppendInt(nil, max(1<<60, times[it.Offset%5]), 10)})
		}})
		r.tel = &pipeline.Telemetry{Metrics: reg}

		counts := r.run(t)

		whole := reg.Histogram("sluice_publish_to_prediction_seconds", "", metrics.Seconds).With()
		if counts.Predicted != 100 || whole.Value() < 0 || whole.Count() != 60 {
			t.Errorf("Counts() = %+v, %v s over %d items, want 100 predicted, 60 of them with a time, none negative", counts, whole.Value(), whole.Count())
		}
	})
}

func TestItemTheSourceRefusedSkipsTheModel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(pipelinetest.SourceConfig{PerPartition: 2, Ordered: true, Shape: func(it *pipeline.Item) {
			if it.Offset == 0 {
				it.Err = &schemas.Error{Class: schemas.TooLarge, Stage: schemas.StageDecode, Message: "record of 9 GiB"}
			}
		}})

		r.run(t)

		if diff := cmp.Diff(map[int64]string{0: "too_large"}, r.deadLetters()); diff != "" {
			t.Errorf("dead letters (-want +got):\n%s", diff)
		}
	})
}

func TestEncodedOutputsAreCountedByTheBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(pipelinetest.SourceConfig{PerPartition: 100, Ordered: true})
		r.cfg.Budget = pipeline.NewBudget(1 << 20)
		r.sink.Delay = time.Second
		_, done := r.start(t)

		time.Sleep(500 * time.Millisecond)
		during := r.cfg.Budget.Used()
		err := <-done

		if err != nil || during == 0 || r.cfg.Budget.Used() != 0 {
			t.Errorf("Run() = %v, budget %d while at the sink and %d after, want some and 0", err, during, r.cfg.Budget.Used())
		}
	})
}
