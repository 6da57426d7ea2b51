package onnx

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/schemas"
)

func TestOneBadRowFailsItsRunAndMatesPassWithoutIt(t *testing.T) {
	t.Parallel()
	m := load(t, "fails_on_data")
	id := func(v int64) *pipeline.Item { return item(1, i64("id", dims(1), v)) }
	bad := id(9)

	err := run(t.Context(), m, id(0), bad, id(2))
	if err == nil || errors.Is(err, pipeline.ErrDevice) {
		t.Fatalf("Run(with a row that fails) = %v; want an error that is not the device's", err)
	}
	if err := run(t.Context(), m, bad); err == nil {
		t.Error("Run(the guilty row alone) = nil")
	}
	mate := id(2)
	if err := run(t.Context(), m, id(0), mate); err != nil {
		t.Fatalf("Run(the mates) = %v", err)
	}
	if got, want := floats(&mate.Res.Outputs[0].Tensor), weights(47, 6)[4:6]; !slices.Equal(got, want) {
		t.Errorf("y = %v, want %v", got, want)
	}
	if err := m.SelfTest(t.Context()); err != nil {
		t.Errorf("SelfTest() = %v: the device is sound", err)
	}
}

func TestItemsThatDoNotFitGetTheirErrorAndMatesRun(t *testing.T) {
	t.Parallel()
	m := load(t, "affine")
	wrong := item(1, f32("x", dims(1, 3), 1, 2, 3))
	good := item(1, f32("x", dims(1, 4), 1, 2, 3, 4))
	if err := run(t.Context(), m, wrong, good); err != nil {
		t.Fatal(err)
	}
	if wrong.Err == nil || wrong.Err.Class != schemas.WrongShape {
		t.Errorf("Err = %v, want %s", wrong.Err, schemas.WrongShape)
	}
	if got := floats(&good.Res.Outputs[0].Tensor); !slices.Equal(got, []float32{3, 5, 7, 9}) {
		t.Errorf("y = %v", got)
	}
}

func TestWrongNumberOfRowsIsAnError(t *testing.T) {
	t.Parallel()
	// independent: true lets the model share runs; what it returns decides still.
	m := load(t, "affine")
	w := <-m.buffers
	defer func() { m.buffers <- w }()
	it := item(2, f32("x", dims(2, 4), make([]float32, 8)...))
	if err := w.runGroup(t.Context(), []*pipeline.Item{it}, 8); err != nil {
		t.Fatal(err)
	}
	w.shapes[0] = dims(1, 4) // as if the model had returned one row
	if err := w.collectRows([]*pipeline.Item{it}, 0, 2, 2); !errors.Is(err, ErrRows) {
		t.Errorf("collectRows(1 row for 2) = %v, want ErrRows", err)
	}
}

func TestResultsOwnTheirMemory(t *testing.T) {
	t.Parallel()
	m := load(t, "affine", func(c *Config) { c.Workers = 1 })
	first := item(1, f32("x", dims(1, 4), 1, 1, 1, 1))
	if err := run(t.Context(), m, first); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), m, item(1, f32("x", dims(1, 4), 9, 9, 9, 9))); err != nil {
		t.Fatal(err)
	}
	if got := floats(&first.Res.Outputs[0].Tensor); !slices.Equal(got, []float32{3, 3, 3, 3}) {
		t.Errorf("the first result became %v after a second run", got)
	}
}

func slowItem(n int64) *pipeline.Item {
	return item(1, f32("x", dims(1, 256), vec(1, 256)...), i64("n", dims(), n))
}

func TestDeadlineEndsARun(t *testing.T) {
	t.Parallel()
	m := load(t, "slow_loop", func(c *Config) { c.Workers = 1 })
	cause := errors.New("the pipeline's own cause")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, cause)
	defer cancel()
	start := time.Now()
	err := run(ctx, m, slowItem(10_000_000)) // minutes when not ended
	if !errors.Is(err, cause) {
		t.Errorf("Run() = %v, want the context's cause", err)
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("Run() took %s after its deadline", d)
	}
	// the same buffers work again
	it := slowItem(1)
	if err := run(t.Context(), m, it); err != nil {
		t.Fatalf("Run() after a terminated one = %v", err)
	}
	if got, want := floats(&it.Res.Outputs[0].Tensor), shifted(1)(vec(1, 256)); !slices.Equal(got, want) {
		t.Error("wrong answer after a terminated run")
	}
}

func TestEndedContextDoesNotRun(t *testing.T) {
	t.Parallel()
	m := load(t, "affine")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, m, item(1, f32("x", dims(1, 4), 1, 2, 3, 4))); !errors.Is(err, context.Canceled) {
		t.Errorf("Run() = %v, want context.Canceled", err)
	}
}

func TestWaitingForBuffersEndsWithTheContext(t *testing.T) {
	t.Parallel()
	m := load(t, "affine", func(c *Config) { c.Workers = 1 })
	w := <-m.buffers
	defer func() { m.buffers <- w }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := run(ctx, m, item(1, f32("x", dims(1, 4), 1, 2, 3, 4))); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run() = %v, want context.DeadlineExceeded", err)
	}
}

func TestLateTerminateDoesNotStopTheNextRun(t *testing.T) {
	t.Parallel()
	m := load(t, "affine", func(c *Config) { c.Workers = 1 })
	if err := run(t.Context(), m, item(1, f32("x", dims(1, 4), 1, 2, 3, 4))); err != nil {
		t.Fatal(err)
	}
	w := <-m.buffers
	w.stop.terminate(w.stop.run) // the run of that number is over
	if w.stop.stopped {
		t.Error("a terminate after the run was taken for the run's")
	}
	m.buffers <- w
	if err := run(t.Context(), m, item(1, f32("x", dims(1, 4), 1, 2, 3, 4))); err != nil {
		t.Errorf("Run() after a late terminate = %v", err)
	}
}

func TestCloseWaitsForRunsAndRefusesLaterOnes(t *testing.T) {
	t.Parallel()
	m := load(t, "slow_loop")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, m, slowItem(10_000_000)) }() // ends with ctx
	waitFor(t, func() bool { return len(m.buffers) == 1 })     // one set is in use

	closed := make(chan error, 1)
	go func() { closed <- m.Close() }() // ends when the run has
	select {
	case <-closed:
		t.Fatal("Close() returned while a run went on")
	case <-time.After(20 * time.Millisecond):
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Run() = %v, want context.Canceled", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close() = %v", err)
	}
	if err := run(t.Context(), m, slowItem(1)); !errors.Is(err, ErrClosed) {
		t.Errorf("Run() after Close() = %v, want ErrClosed", err)
	}
	if err := m.SelfTest(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("SelfTest() after Close() = %v, want ErrClosed", err)
	}
}

func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatal("the condition did not come true")
		}
		time.Sleep(time.Millisecond)
	}
}

// TestConcurrentRunsWithGarbageCollection: many goroutines share a model while
// the collector runs; each must get the answers to its own rows.
func TestConcurrentRunsWithGarbageCollection(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"affine", "tokens_dyn", "string_input", "detect_nms", "seq_of_maps", "rank0_input"} {
		m, c := load(t, name), zooCases[name]
		stop := make(chan struct{})
		var collector, runs sync.WaitGroup
		collector.Go(func() { // ends when the runs have
			for {
				select {
				case <-stop:
					return
				default:
					runtime.GC()
				}
			}
		})
		for g := range 8 {
			runs.Go(func() {
				for i := range 20 {
					items := make([]*pipeline.Item, 1+(g+i)%9)
					for r := range items {
						items[r] = item(1, c.row(g*7+i+r)...)
					}
					if err := run(t.Context(), m, items...); err != nil {
						t.Errorf("%s: Run() = %v", name, err)
						return
					}
					for r, it := range items {
						want := c.want(c.row(g*7 + i + r))
						if !sameRow(&it.Res.Outputs[0], 0, &want[0], 0, -1) && want[0].Maps == nil {
							t.Errorf("%s: goroutine %d got another row's answer", name, g)
							return
						}
					}
				}
			})
		}
		runs.Wait()
		close(stop)
		collector.Wait()
	}
}

func TestFailedRunsLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	m := load(t, "detect_nms", func(c *Config) { c.Workers = 1 })
	bad := item(1, f32("boxes", dims(1, 2, 4), make([]float32, 8)...), f32("scores", dims(1, 1, 3), 0.9, 0.9, 0.9))
	if err := run(t.Context(), m, bad); err == nil {
		t.Fatal("Run(2 boxes, 3 scores) = nil")
	}
	c := zooCases["detect_nms"]
	good := item(1, c.row(0)...)
	if err := run(t.Context(), m, good); err != nil {
		t.Fatal(err)
	}
	checkAnswer(t, "after a failed run", good, c.want(c.row(0)), 0)
}

func TestLargerShapesAfterSmallerOnes(t *testing.T) {
	t.Parallel()
	m := load(t, "tokens_dyn", func(c *Config) { c.Workers = 1 })
	for _, n := range []int{3, 4000, 3} { // 4,000 ids do not fit the first page
		ids, mask := make([]int64, n), make([]int64, n)
		for i := range ids {
			ids[i], mask[i] = int64(i%1000), 1
		}
		in := []schemas.Tensor{i64("input_ids", dims(1, int64(n)), ids...), i64("attention_mask", dims(1, int64(n)), mask...)}
		it := item(1, in...)
		if err := run(t.Context(), m, it); err != nil {
			t.Fatal(err)
		}
		checkAnswer(t, "length", it, zooCases["tokens_dyn"].want(in), 1e-5)
	}
}

func TestRunAllocatesPerBatchNotPerItem(t *testing.T) {
	if raceDetector {
		t.Log("the race detector allocates by itself: counted in the plain run")
		return
	}
	m := load(t, "affine", func(c *Config) { c.MaxRows = 256 })
	batch := &pipeline.Batch{Rows: 256}
	for r := range 256 {
		batch.Items = append(batch.Items, item(1, f32("x", dims(1, 4), vec(r, 4)...)))
	}
	if n := testing.AllocsPerRun(50, func() {
		if err := m.Run(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}); n > 16 {
		t.Errorf("%v allocations for a batch of 256 items, want at most 16", n)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	sig := &schemas.Signature{Inputs: []schemas.TensorSpec{
		{Name: "x", Type: schemas.FP32, Shape: dims(-1, 2), BatchAxis: 0},
		{Name: "s", Type: schemas.Bytes, Shape: dims(-1), BatchAxis: 0},
	}}
	x, s := f32("x", dims(1, 2), 1, 2), text("s", dims(1), "a")
	short := x
	short.Data = short.Data[:4]
	for name, c := range map[string]struct {
		it   *pipeline.Item
		want schemas.Class
	}{
		"fits":             {item(1, x, s), ""},
		"input missing":    {item(1, x), schemas.WrongName},
		"other order":      {item(1, s, x), schemas.WrongName},
		"other type":       {item(1, f64("x", dims(1, 2), 1, 2), s), schemas.WrongType},
		"other rank":       {item(1, f32("x", dims(2), 1, 2), s), schemas.WrongShape},
		"other dimension":  {item(1, f32("x", dims(1, 3), 1, 2, 3), s), schemas.WrongShape},
		"other rows":       {item(2, x, s), schemas.WrongShape},
		"no rows":          {item(0, x, s), schemas.WrongShape},
		"too few bytes":    {item(1, short, s), schemas.WrongShape},
		"too few strings":  {item(1, x, text("s", dims(1))), schemas.WrongShape},
		"zero byte inside": {item(1, x, text("s", dims(1), "a\x00b")), schemas.WrongType},
	} {
		err := Validate(sig, &c.it.Req)
		if got := classOf(err); got != c.want {
			t.Errorf("%s: class %q (%v), want %q", name, got, err, c.want)
		}
		if err != nil && (err.Stage != schemas.StageValidate || strings.Contains(err.Message, "\x00")) {
			t.Errorf("%s: %+v", name, err)
		}
	}
}

func classOf(err *schemas.Error) schemas.Class {
	if err == nil {
		return ""
	}
	return err.Class
}
