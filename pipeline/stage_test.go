package pipeline_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/pipeline/pipelinetest"
	"github.com/sluice-ml/sluice/schemas"
)

// stagedRig has workers that decode into the model's memory: two values a record,
// the offset and its half.
func stagedRig(n int64, special map[int64]string) *rig {
	return stagedRigOf(pipelinetest.SourceConfig{PerPartition: n, Ordered: true, Most: 50, Value: func(_ int32, offset int64) []byte {
		if text, ok := special[offset]; ok {
			return []byte(text)
		}
		return offsetAndHalf(0, offset)
	}})
}

func stagedRigOf(src pipelinetest.SourceConfig) *rig {
	r := newRig(src)
	r.model.Sig, r.model.StageWidth = oneShape(), 2
	return r
}

func offsetAndHalf(_ int32, offset int64) []byte {
	return []byte(strconv.FormatInt(offset, 10) + " " + strconv.FormatFloat(float64(offset)/2, 'g', -1, 32))
}

// answers checks that each outcome without an error is its own record's.
func (r *rig) answers(t *testing.T) {
	t.Helper()
	for _, o := range r.sink.Outcomes() {
		want := strconv.FormatInt(2*o.Offset+1, 10) + " " + strconv.FormatInt(o.Offset+1, 10)
		if o.Err == nil && o.Value != want {
			t.Errorf("offset %d has the output %q, want %q", o.Offset, o.Value, want)
		}
	}
	if n := r.model.Stages(); n != 0 {
		t.Errorf("%d stages still open", n)
	}
}

func TestRowsRunWhereTheyWereDecoded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := stagedRig(500, nil)

		counts := r.run(t)

		if counts.Predicted != 500 || r.model.Staged() != 500 {
			t.Errorf("Counts() = %+v, %d rows in place, want all 500", counts, r.model.Staged())
		}
		r.answers(t)
	})
}

func TestWhatIsNotRunTakesNoRow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := stagedRig(100, map[int64]string{0: "poison", 7: "1 poison", 8: "panic", 49: "poison", 99: "poison"})

		counts := r.run(t)

		want := map[int64]string{0: "undecodable", 7: "undecodable", 8: "panic", 49: "undecodable", 99: "undecodable"}
		if diff := cmp.Diff(want, r.deadLetters()); diff != "" || counts.Predicted != 95 || r.model.Staged() != 95 {
			t.Errorf("Counts() = %+v, %d rows in place, want 95; dead letters (-want +got):\n%s", counts, r.model.Staged(), diff)
		}
		r.answers(t)
	})
}

func TestExpiredRecordsTakeNoRow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		past := pipelinetest.DeadlineHeader(time.Now().Add(-time.Second))
		r := stagedRigOf(pipelinetest.SourceConfig{PerPartition: 100, Ordered: true, Value: offsetAndHalf, Shape: func(it *pipeline.Item) {
			if it.Offset%3 == 0 {
				it.Headers = append(it.Headers, past)
			}
		}})

		counts := r.run(t)

		if counts.Expired != 34 || counts.Predicted != 66 || r.model.Staged() != 66 {
			t.Errorf("Counts() = %+v, %d rows in place, want 34 expired and 66 in place", counts, r.model.Staged())
		}
		r.answers(t)
	})
}

func TestRowsOfAnotherWidthAreGathered(t *testing.T) {
	t.Parallel()
	for name, odd := range map[string]string{"wider than a row": "5 2.5 7 8 9", "narrower than a row": "5"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := stagedRig(100, map[int64]string{5: odd})
				r.cfg.Workers, r.cfg.Decoders, r.cfg.MaxRows = 1, 1, 10

				counts := r.run(t)

				if counts.Predicted != 100 || r.model.Staged() != 90 {
					t.Errorf("Counts() = %+v, %d rows in place, want all but the batch of ten with the odd one", counts, r.model.Staged())
				}
				for _, o := range r.sink.Outcomes() {
					if want := 2*o.Offset + 1; o.Offset != 5 && o.Value != strconv.FormatInt(want, 10)+" "+strconv.FormatInt(o.Offset+1, 10) {
						t.Errorf("offset %d has the output %q", o.Offset, o.Value)
					}
				}
			})
		})
	}
}

func TestFailedRunInPlaceIsSplit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := stagedRig(100, nil)
		r.model.FailOn = at(0, 31, 77)

		counts := r.run(t)

		want := map[int64]string{0: "run_failed", 31: "run_failed", 77: "run_failed"}
		if diff := cmp.Diff(want, r.deadLetters()); diff != "" || counts.Predicted != 97 {
			t.Errorf("Counts() = %+v, dead letters (-want +got):\n%s", counts, diff)
		}
		r.answers(t)
	})
}

func TestDeviceOutageKeepsRowsInPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := stagedRig(100, nil)
		r.model.Break(true)
		_, done := r.start(t)

		time.Sleep(time.Minute)
		r.model.Repair()
		err := <-done

		if counts := r.pipe.Counts(); err != nil || counts.Predicted != 100 {
			t.Errorf("Run() = %v, %+v, want all predicted after the outage", err, counts)
		}
		r.answers(t)
	})
}

func TestStopInMidRunClosesTheStages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := stagedRig(10_000, nil)
		r.model.Delay = time.Millisecond
		stop, done := r.start(t)
		time.Sleep(20 * time.Millisecond)

		stop()

		if err := <-done; err != nil {
			t.Fatal(err)
		}
		r.consistent(t)
		r.answers(t)
	})
}

// Rows of two records each cannot be decoded in place, nor run at once by who
// decoded them.
func TestManyRowsGoThroughTheBatcher(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := stagedRig(40, nil)
		pipe, err := pipeline.New(r.cfg, r.src, twoRows{}, r.model, r.sink, nil)
		if err != nil {
			t.Fatal(err)
		}

		err = pipe.Run(t.Context())

		if c := pipe.Counts(); err != nil || c.Predicted != 40 || r.model.Staged() != 0 {
			t.Errorf("Run() = %v, %+v, %d in place, want 40 predicted and none in place", err, c, r.model.Staged())
		}
		r.answers(t)
	})
}

type twoRows struct{ pipelinetest.Codec }

func (c twoRows) Decode(rec *schemas.Record, req *schemas.Request) error {
	err := c.Codec.Decode(rec, req)
	req.Rows = 2
	return err
}

// Fewer workers than decoders: others decode, as before a device.
func TestSeparateDecodersFeedOneWorker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := stagedRig(1000, map[int64]string{3: "poison"})
		r.cfg.Workers, r.cfg.Decoders = 1, 4

		counts := r.run(t)

		if counts.Predicted != 999 || counts.DeadLettered != 1 {
			t.Errorf("Counts() = %+v, want 999 and a dead letter", counts)
		}
		r.answers(t)
	})
}

// An item that ends between its decoding and the run leaves a hole among the rows.
func TestItemThatExpiresBehindItsDecodingShiftsNoRow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		soon := pipelinetest.DeadlineHeader(time.Now().Add(15 * time.Millisecond))
		r := stagedRigOf(pipelinetest.SourceConfig{PerPartition: 20, Ordered: true, Value: offsetAndHalf, Shape: func(it *pipeline.Item) {
			if it.Offset == 3 {
				it.Headers = append(it.Headers, soon)
			}
		}})
		r.cfg.Workers, r.cfg.Decoders = 1, 1
		pipe, err := pipeline.New(r.cfg, r.src, slowCodec{}, r.model, r.sink, nil)
		if err != nil {
			t.Fatal(err)
		}

		err = pipe.Run(t.Context())

		if c := pipe.Counts(); err != nil || c.Expired != 1 || c.Predicted != 19 {
			t.Errorf("Run() = %v, %+v, want one expired after its decoding", err, c)
		}
		r.answers(t)
	})
}

// slowCodec takes 1 ms a record.
type slowCodec struct{ pipelinetest.Codec }

func (c slowCodec) Decode(rec *schemas.Record, req *schemas.Request) error {
	time.Sleep(time.Millisecond)
	return c.Codec.Decode(rec, req)
}

func TestBatchRunsInPartsToMeetADeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inTime := 0 // only the one worker sends
		deadline := time.Now().Add(32 * time.Millisecond)
		r := stagedRigOf(pipelinetest.SourceConfig{PerPartition: 40, Ordered: true, Value: offsetAndHalf, Shape: func(it *pipeline.Item) {
			if it.Offset >= 20 {
				it.Headers = append(it.Headers, pipelinetest.DeadlineHeader(deadline))
			}
		}})
		r.cfg.Workers, r.cfg.Decoders, r.cfg.MaxRows = 1, 1, 20
		r.model.RowDelay = time.Millisecond
		r.sink.Fail = func(it *pipeline.Item) error {
			if it.Offset >= 20 && !time.Now().After(deadline) {
				inTime++
			}
			return nil
		}

		r.run(t)

		// The first 20 rows take 20 ms and tell what a row costs. The others would take
		// until 40 ms together; those that fit into the 12 ms left go first, in place.
		if inTime < 9 || inTime > 12 {
			t.Errorf("%d outcomes by the deadline in runs of %v, want about 11", inTime, sizes(r.model.Runs()))
		}
		r.answers(t)
	})
}
