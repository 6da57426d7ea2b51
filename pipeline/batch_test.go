package pipeline_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
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

// raw is a codec whose values are the tensors' bytes. It tells how many items were
// decoded and had not run.
type raw struct {
	pipelinetest.Codec
	model         *pipelinetest.Model
	decoded, most atomic.Int64
}

func (a *raw) Decode(rec *schemas.Record, req *schemas.Request) error {
	ran := 0
	for _, run := range a.model.Runs() {
		ran += len(run)
	}
	a.most.Store(max(a.most.Load(), a.decoded.Add(1)-int64(ran)))
	req.Inputs = []schemas.Tensor{{Name: "x", Type: schemas.FP32, Shape: []int64{1, int64(len(rec.Value) / 4)}, Data: rec.Value}}
	return nil
}

// blind is a model that does not look at its inputs, for giants.
type blind struct{ *pipelinetest.Model }

func (m blind) Run(ctx context.Context, batch *pipeline.Batch) error {
	inputs := make([]schemas.Tensor, len(batch.Items))
	for i, it := range batch.Items {
		inputs[i] = it.Req.Inputs[0]
		it.Req.Inputs[0].Data, it.Req.Inputs[0].Shape = inputs[i].Data[:4], []int64{1, 1}
	}
	err := m.Model.Run(ctx, batch)
	for i, it := range batch.Items {
		it.Req.Inputs[0] = inputs[i]
	}
	return err
}

// runRaw carries everything, which are bytes of tensors.
func (r *rig) runRaw(t *testing.T) (ahead int64) {
	t.Helper()
	codec := &raw{model: r.model}
	pipe, err := pipeline.New(r.cfg, r.src, codec, blind{r.model}, r.sink, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := pipe.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c := pipe.Counts(); c.Predicted != c.Received || c.Received == 0 {
		t.Errorf("%+v, want all predicted", c)
	}
	return codec.most.Load()
}

// What a run takes of memory grows with its inputs: rows of varying shapes that are
// giants do not come by the hundred.
func TestGiantRowsOfVaryingShapesShareSmallBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		giant, huge := make([]byte, 2<<20), make([]byte, 12<<20)
		r := newRig(pipelinetest.SourceConfig{PerPartition: 12, Ordered: true, Value: func(_ int32, offset int64) []byte {
			switch {
			case offset < 5:
				return giant
			case offset < 7:
				return huge
			}
			return giant[:4]
		}})
		r.cfg.Workers, r.cfg.Decoders = 1, 2

		r.runRaw(t)

		got := sizes(r.model.Runs())
		slices.Sort(got)
		if want := []int{1, 1, 1, 4, 5}; !slices.Equal(got, want) {
			t.Errorf("batches = %v, want %v", got, want)
		}
	})
}

// Decoded giants take memory that nobody has counted: few wait for the model.
func TestFewGiantsAreDecodedAhead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		decoders int
		most     int64
	}{
		// 64 MiB wait; at first each decodes 16, not knowing how large they are.
		"decoders of their own": {2, 64/3 + 2*16 + 2},
		"workers that decode":   {1, 16 + 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				giant := make([]byte, 3<<20)
				r := newRig(pipelinetest.SourceConfig{PerPartition: 100, Ordered: true, Value: func(int32, int64) []byte { return giant }})
				r.cfg.Workers, r.cfg.Decoders = 1, c.decoders
				r.model.Delay = time.Millisecond
				if ahead := r.runRaw(t); ahead > c.most {
					t.Errorf("%d items of 3 MiB decoded ahead of their run, want at most %d", ahead, c.most)
				}
			})
		})
	}
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
