package pipeline_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/pipeline/pipelinetest"
	"github.com/sluice-ml/sluice/schemas"
)

func sizes(runs [][]int64) (out []int) {
	for _, r := range runs {
		out = append(out, len(r))
	}
	return out
}

// oneShape is a model signature whose items may all share a batch.
func oneShape() *schemas.Signature {
	return &schemas.Signature{Inputs: []schemas.TensorSpec{{Name: "x", Type: schemas.FP32, Shape: []int64{-1, 1}}}}
}

func TestDelayFlushesSmallBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(pipelinetest.SourceConfig{PerPartition: 3, Ordered: true, Most: 1, Delay: 20 * time.Millisecond, Follow: true})
		r.cfg.MaxDelay = 50 * time.Millisecond
		r.model.Sig = oneShape()
		stop, done := r.start(t)
		began := time.Now()

		for len(r.sink.Outcomes()) < 3 {
			time.Sleep(time.Millisecond)
		}

		// Items come at 20, 40 and 60 ms; the batch leaves 50 ms after its first.
		if waited := time.Since(began); waited < 70*time.Millisecond || waited > 72*time.Millisecond {
			t.Errorf("outcomes came after %s, want 70ms: the first item plus max_delay", waited)
		}
		if got := r.model.Runs(); len(got) != 1 || r.model.Reasons()[0] != pipeline.ReasonDelay {
			t.Errorf("runs = %v, reasons %v, want one for the delay", got, r.model.Reasons())
		}
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

func TestBatchGrowsWhileWorkersAreBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(pipelinetest.SourceConfig{PerPartition: 21, Ordered: true, Most: 1, Delay: time.Millisecond})
		r.cfg.Workers, r.cfg.Decoders = 1, 1
		r.model.Sig, r.model.Delay = oneShape(), 10*time.Millisecond+time.Microsecond

		r.run(t)

		if got, want := sizes(r.model.Runs()), []int{1, 10, 10}; !slices.Equal(got, want) {
			t.Errorf("batches = %v, want %v: an idle worker takes all that came meanwhile", got, want)
		}
	})
}

func TestFullBatchLeavesBeforeTheDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(pipelinetest.SourceConfig{PerPartition: 8, Ordered: true, Follow: true})
		r.cfg.MaxRows, r.cfg.MaxDelay, r.cfg.Decoders = 4, time.Hour, 1
		r.model.Sig = oneShape()
		stop, done := r.start(t)

		synctest.Wait()

		if got := r.model.Reasons(); !slices.Equal(got, []pipeline.DispatchReason{pipeline.ReasonFull, pipeline.ReasonFull}) {
			t.Errorf("reasons = %v, want full twice at once", got)
		}
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

func TestExhaustedSourceDrainsTheOpenBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(pipelinetest.SourceConfig{PerPartition: 3, Ordered: true})
		r.cfg.MaxDelay = time.Hour
		r.model.Sig = oneShape()
		began := time.Now()

		r.run(t)

		if got := r.model.Reasons(); len(got) != 1 || got[0] != pipeline.ReasonDrain || time.Since(began) > time.Minute {
			t.Errorf("reasons = %v after %s, want drain at once", got, time.Since(began))
		}
	})
}

func TestDeadlinePressesABatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		deadline := time.Now().Add(300 * time.Millisecond)
		r := newRig(pipelinetest.SourceConfig{PerPartition: 1, Follow: true, Shape: func(it *pipeline.Item) {
			it.Headers = append(it.Headers, pipelinetest.DeadlineHeader(deadline))
		}})
		r.cfg.MaxDelay = time.Hour
		r.model.Sig = oneShape()
		stop, done := r.start(t)

		time.Sleep(299 * time.Millisecond)
		early := len(r.model.Runs())
		time.Sleep(time.Millisecond)
		synctest.Wait()

		if got := r.model.Reasons(); early != 0 || len(got) != 1 || got[0] != pipeline.ReasonDeadline {
			t.Errorf("%d runs before the deadline pressed, reasons %v, want one for the deadline", early, got)
		}
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

func TestOnlyEqualShapesShareABatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(pipelinetest.SourceConfig{PerPartition: 30, Ordered: true, Value: func(_ int32, offset int64) []byte {
			return []byte(strings.Repeat("1 ", int(offset%3)+1))
		}})
		r.cfg.Workers, r.cfg.Decoders = 1, 1

		r.run(t)

		for _, run := range r.model.Runs() {
			for _, offset := range run {
				if offset%3 != run[0]%3 {
					t.Fatalf("batch %v mixes shapes", run)
				}
			}
		}
		if got, want := sizes(r.model.Runs()), []int{10, 10, 10}; !slices.Equal(got, want) {
			t.Errorf("batches = %v, want %v", got, want)
		}
	})
}

// What a run takes of memory grows with its inputs: rows of varying shapes that are
// giants do not come by the hundred.
func TestGiantRowsOfVaryingShapesShareSmallBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const each = 3 << 20 / 4 // numbers of 4 bytes
		giant, huge := []byte(strings.Repeat("1 ", each)), []byte(strings.Repeat("1 ", 4*each))
		r := newRig(pipelinetest.SourceConfig{PerPartition: 12, Ordered: true, Value: func(_ int32, offset int64) []byte {
			switch {
			case offset < 5:
				return giant
			case offset < 7:
				return huge
			}
			return []byte("1")
		}})
		r.cfg.Workers, r.cfg.Decoders = 1, 1

		r.run(t)

		got := sizes(r.model.Runs())
		slices.Sort(got)
		if want := []int{1, 1, 1, 2, 2, 5}; !slices.Equal(got, want) {
			t.Errorf("batches = %v, want %v", got, want)
		}
	})
}

func TestModelThatRunsAloneGetsSingleItems(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(pipelinetest.SourceConfig{PerPartition: 5, Ordered: true})
		r.model.Sig = &schemas.Signature{Alone: true}

		r.run(t)

		if got, want := sizes(r.model.Runs()), []int{1, 1, 1, 1, 1}; !slices.Equal(got, want) {
			t.Errorf("batches = %v, want %v", got, want)
		}
	})
}

func TestFixedRowsCapTheBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(pipelinetest.SourceConfig{PerPartition: 10, Ordered: true})
		r.cfg.Workers, r.cfg.Decoders = 1, 1
		r.model.Sig = oneShape()
		r.model.Sig.FixedRows = 4

		r.run(t)

		if got, want := sizes(r.model.Runs()), []int{4, 4, 2}; !slices.Equal(got, want) {
			t.Errorf("batches = %v, want %v", got, want)
		}
	})
}

func TestBatchesCountRowsNotItems(t *testing.T) {
	t.Parallel()
	rows := []int{3, 3, 3, 9, 2, 1}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(pipelinetest.SourceConfig{PerPartition: int64(len(rows)), Ordered: true})
		r.cfg.Workers, r.cfg.Decoders, r.cfg.MaxRows = 1, 1, 8
		r.model.Sig = oneShape()
		pipe, err := pipeline.New(r.cfg, r.src, rowsCodec{rows: rows}, r.model, r.sink, nil)
		if err != nil {
			t.Fatal(err)
		}

		err = pipe.Run(t.Context())

		// 3+3, then 3+2+1 with the 9 as a batch of its own.
		got := r.model.Runs()
		slices.SortFunc(got, func(a, b []int64) int { return int(a[0] - b[0]) })
		if diff := cmp.Diff([][]int64{{0, 1}, {2, 4, 5}, {3}}, got); err != nil || diff != "" {
			t.Errorf("Run() = %v, batches (-want +got):\n%s", err, diff)
		}
	})
}

// rowsCodec gives each offset a number of rows.
type rowsCodec struct {
	pipelinetest.Codec
	rows []int
}

func (c rowsCodec) Decode(rec *schemas.Record, req *schemas.Request) error {
	err := c.Codec.Decode(rec, req)
	req.Rows = c.rows[rec.Offset]
	return err
}
