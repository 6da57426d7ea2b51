package pipeline_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/pipeline/pipelinetest"
	"github.com/sluice-ml/sluice/schemas"
)

func at(offsets ...int64) func(*pipeline.Item) bool {
	return func(it *pipeline.Item) bool {
		for _, o := range offsets {
			if it.Offset == o {
				return true
			}
		}
		return false
	}
}

// batchRig runs 256 items as one batch.
func batchRig() *rig {
	r := newRig(pipelinetest.SourceConfig{PerPartition: 256, Ordered: true})
	r.cfg.Workers, r.cfg.Decoders, r.cfg.MaxDelay = 1, 1, time.Second
	r.model.Sig = oneShape()
	return r
}

func TestBisectionFindsExactlyTheGuiltyRows(t *testing.T) {
	t.Parallel()
	for name, guilty := range map[string][]int64{"one": {77}, "first and last": {0, 255}, "neighbours": {100, 101, 102}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := batchRig()
				r.model.FailOn = at(guilty...)

				counts := r.run(t)

				want := map[int64]string{}
				for _, g := range guilty {
					want[g] = string(schemas.RunFailed)
				}
				if diff := cmp.Diff(want, r.deadLetters()); diff != "" {
					t.Errorf("dead letters (-want +got):\n%s", diff)
				}
				if counts.Predicted != 256-int64(len(guilty)) {
					t.Errorf("Counts() = %+v, want all others predicted", counts)
				}
				if n := len(r.model.Runs()); n > 1+2*256 {
					t.Errorf("%d runs, want at most 2n extra", n)
				}
			})
		})
	}
}

func TestDeadLetterTextIsClean(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := batchRig()
		r.model.FailOn = at(3)

		r.run(t)

		for _, o := range r.sink.Outcomes() {
			if o.Err != nil && (o.Err.Message != "run: a row of this batch failed with two lines" || o.Err.Stage != schemas.StageInfer || o.Attempts < 2) {
				t.Errorf("dead letter %+v after %d attempts, want clean text, stage infer, several attempts", o.Err, o.Attempts)
			}
		}
	})
}

func TestRowsOwnErrorsSpareTheBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := batchRig()
		r.model.RefuseOn = func(it *pipeline.Item) *schemas.Error {
			if it.Offset != 9 {
				return nil
			}
			return &schemas.Error{Class: schemas.NonFinite, Stage: schemas.StageInfer, Message: "output y is NaN"}
		}

		r.run(t)

		if diff := cmp.Diff(map[int64]string{9: "non_finite"}, r.deadLetters()); diff != "" || len(r.model.Runs()) != 1 {
			t.Errorf("dead letters after %d runs (-want +got):\n%s", len(r.model.Runs()), diff)
		}
	})
}

func TestHangingRowTimesOutAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := batchRig()
		r.model.HangOn = at(200)

		r.run(t)

		if diff := cmp.Diff(map[int64]string{200: "run_timeout"}, r.deadLetters()); diff != "" {
			t.Errorf("dead letters (-want +got):\n%s", diff)
		}
	})
}

func TestPanicsBelongToTheirItem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(pipelinetest.SourceConfig{PerPartition: 50, Ordered: true, Value: func(_ int32, offset int64) []byte {
			switch offset {
			case 7:
				return []byte("panic")
			case 8:
				return []byte("poison")
			case 9:
				return []byte("unencodable 9")
			}
			return []byte("1")
		}})
		r.model.PanicOn = at(20)

		r.run(t)

		want := map[int64]string{7: "panic", 8: "undecodable", 9: "encode_failed", 20: "panic"}
		if diff := cmp.Diff(want, r.deadLetters()); diff != "" {
			t.Errorf("dead letters (-want +got):\n%s", diff)
		}
	})
}

func TestBrokenDeviceDeadLettersNothing(t *testing.T) {
	t.Parallel()
	for name, named := range map[string]bool{"the run names the device": true, "only the self-test tells": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				r := newRig(pipelinetest.SourceConfig{Partitions: 2, PerPartition: 100, Ordered: true})
				r.tel = &pipeline.Telemetry{Logger: slog.New(slog.NewTextHandler(&log, nil))}
				r.model.Break(named)
				_, done := r.start(t)

				time.Sleep(5 * time.Minute)
				during := len(r.sink.Outcomes())
				r.model.Repair()
				err := <-done

				if got := r.pipe.Counts(); err != nil || during != 0 || got.Predicted != 200 {
					t.Errorf("Run() = %v, %d outcomes during the outage, %+v; want none, then all predicted", err, during, got)
				}
				if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
					t.Errorf("the outage was logged %d times, want once:\n%s", n, log.String())
				}
			})
		})
	}
}

func TestWholeBatchFailingOnAWorkingDeviceIsDeadLettered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(pipelinetest.SourceConfig{PerPartition: 4, Ordered: true})
		r.cfg.Decoders = 1
		r.model.FailOn = func(*pipeline.Item) bool { return true }

		counts := r.run(t)

		if counts.DeadLettered != 4 || r.model.SelfTests() == 0 {
			t.Errorf("Counts() = %+v after %d self-tests, want 4 dead letters after one at least", counts, r.model.SelfTests())
		}
	})
}

func TestStopDoesNotWaitForABrokenDevice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(pipelinetest.SourceConfig{PerPartition: 100, Ordered: true})
		r.model.Break(true)
		stop, done := r.start(t)
		time.Sleep(time.Minute)
		began := time.Now()

		stop()
		err := <-done

		if waited := time.Since(began); err != nil || waited > time.Second {
			t.Errorf("Run() = %v after %s, want nil at once", err, waited)
		}
		if c := r.pipe.Counts(); c.Abandoned != 100 {
			t.Errorf("Counts() = %+v, want all abandoned", c)
		}
	})
}

func TestStopDropsWhatIsFinishedBehindABrokenDevice(t *testing.T) {
	t.Parallel()
	for name, ordered := range map[string]bool{"ordered": true, "order none": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(pipelinetest.SourceConfig{PerPartition: 100, Ordered: ordered, Follow: true})
				r.cfg.Workers, r.cfg.Decoders, r.cfg.MaxRows = 2, 1, 1
				r.model.Break(true)
				stop, done := r.start(t)
				time.Sleep(5 * time.Minute)
				r.model.Repair()
				before := len(r.model.Runs())
				for len(r.model.Runs()) < before+20 { // one worker is back, the other still waits
					time.Sleep(time.Millisecond)
				}
				began := time.Now()

				stop()
				err := <-done

				if waited := time.Since(began); err != nil || waited > time.Second {
					t.Errorf("Run() = %v after %s, want nil at once", err, waited)
				}
				r.consistent(t)
				if c := r.pipe.Counts(); c.Abandoned == 0 {
					t.Errorf("Counts() = %+v, want what waited for the device abandoned", c)
				}
			})
		})
	}
}

func TestOnErrorStopStopsBeforeTheItem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(pipelinetest.SourceConfig{Partitions: 2, PerPartition: 100, Ordered: true, Value: func(p int32, offset int64) []byte {
			if p == 1 && offset == 40 {
				return []byte("poison")
			}
			return []byte("1")
		}})
		r.cfg.OnError = pipeline.OnErrorStop
		r.sink.Delay = time.Second

		counts := r.run(t)

		if got := r.src.Lane(1).Position(); got != 40 || r.src.Lane(0).Position() != 100 {
			t.Errorf("positions = %d and %d, want 100 and 40", r.src.Lane(0).Position(), got)
		}
		if err := r.src.Stopped(1); err == nil || !strings.Contains(err.Error(), "in/1@40") {
			t.Errorf("stopped because %v, want the record named", err)
		}
		if counts.DeadLettered != 0 || counts.Predicted != 140 {
			t.Errorf("Counts() = %+v, want 140 predicted and no dead letter", counts)
		}
	})
}

func TestSinkFailureStopsOnePartitionOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(pipelinetest.SourceConfig{Partitions: 3, PerPartition: 1000, Ordered: true})
		r.cfg.MaxInFlight = 64
		r.sink.Delay = time.Millisecond
		gaveUp := errors.New("topic is gone")
		r.sink.Fail = func(it *pipeline.Item) error {
			if it.Partition == 1 && it.Offset >= 100 {
				return gaveUp
			}
			return nil
		}

		counts := r.run(t)

		position := r.src.Lane(1).Position()
		if position != 100 {
			t.Errorf("stopped partition stands at %d, want 100: never past it (I2), and what the sink had before it counts", position)
		}
		if !errors.Is(r.src.Stopped(1), gaveUp) || r.src.Stopped(0) != nil || r.src.Stopped(2) != nil {
			t.Errorf("stopped = %v, %v, %v, want only partition 1", r.src.Stopped(0), r.src.Stopped(1), r.src.Stopped(2))
		}
		for _, id := range []int32{0, 2} {
			if got := r.src.Lane(id).Position(); got != 1000 {
				t.Errorf("healthy partition %d stands at %d, want 1000: it gets the slots", id, got)
			}
		}
		if counts.Predicted < 2000+position || counts.Predicted > 2100 {
			t.Errorf("Counts() = %+v, want 2000 of the others and at least %d", counts, position)
		}
	})
}
