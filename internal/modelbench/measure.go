package modelbench

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluice-ml/sluice/internal/load"
	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/schemas"
)

// leastRuns is how many runs a worker makes at least, however long they take.
const leastRuns = 3

// Threads is how a model uses the processor: Workers runs at once, each with
// IntraOp threads.
type Threads struct {
	Workers int `json:"workers"`
	IntraOp int `json:"intra_op"`
}

// Name is 2x1 for two workers with a thread each. It is no String, which what
// embeds Threads would be printed by.
func (t Threads) Name() string { return fmt.Sprintf("%dx%d", t.Workers, t.IntraOp) }

// ParseThreads reads a list such as 1x1,2x1.
func ParseThreads(text string) ([]Threads, error) {
	var all []Threads
	for part := range strings.SplitSeq(text, ",") {
		first, second, ok := strings.Cut(strings.TrimSpace(part), "x")
		w, errW := strconv.Atoi(first)
		k, errK := strconv.Atoi(second)
		t := Threads{w, k}
		if !ok || errW != nil || errK != nil || w < 1 || k < 1 || w > 1024 || k > 1024 {
			return nil, fmt.Errorf("%q is no choice of threads; write WORKERSxTHREADS, for example 2x1", part)
		}
		if !slices.Contains(all, t) {
			all = append(all, t)
		}
	}
	return all, nil
}

// ParseBatches reads 1..1024 (doubling) or a list such as 1,16,100, smallest
// first.
func ParseBatches(text string) ([]int, error) {
	wrong := fmt.Errorf("%q are no batch sizes; write 1..1024, which doubles, or a list such as 1,16,100", text)
	if low, high, ok := strings.Cut(text, ".."); ok {
		from, errFrom := strconv.Atoi(low)
		to, errTo := strconv.Atoi(high)
		if errFrom != nil || errTo != nil || from < 1 || to < from || to > 1<<20 {
			return nil, wrong
		}
		var sizes []int
		for n := from; n < to; n *= 2 {
			sizes = append(sizes, n)
		}
		return append(sizes, to), nil
	}
	var sizes []int
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || n < 1 || n > 1<<20 {
			return nil, wrong
		}
		sizes = append(sizes, n)
	}
	slices.Sort(sizes)
	return slices.Compact(sizes), nil
}

// Cell is one batch size with one choice of threads.
type Cell struct {
	Threads
	Rows int   `json:"rows"`
	Runs int64 `json:"runs"`
	// P50, P99 and Max of a run, in seconds.
	P50 float64 `json:"p50_seconds"`
	P99 float64 `json:"p99_seconds"`
	Max float64 `json:"max_seconds"`
	// RowsPerSecond of all workers together.
	RowsPerSecond float64 `json:"rows_per_second"`
	// CPUPerMillion is the processor time of this process, in seconds, for a
	// million rows; 0 where the system does not tell.
	CPUPerMillion float64 `json:"cpu_seconds_per_million_rows"`
	// Given is how much of the processor time that its threads could use it got,
	// as far as this process can tell; less than 1 where other work runs beside it
	// or its threads wait for each other.
	Given float64 `json:"processor_share"`
	// Knee marks the batch with the most throughput per latency, for its threads.
	Knee bool `json:"knee,omitempty"`
}

// Measure runs batches of that many rows with workers at once for about so long,
// after a tenth of it as a warm-up. inputs are rows to take in turn; they are
// only read. It ends early with ctx, with its cause.
func Measure(ctx context.Context, m pipeline.Model, t Threads, rows int, inputs [][]schemas.Tensor, duration time.Duration) (*Cell, error) {
	workers := make([]*worker, t.Workers)
	for i := range workers {
		workers[i] = newWorker(m, rows, inputs, i)
	}
	if _, err := together(ctx, workers, duration/10, 1); err != nil {
		return nil, err
	}
	for _, w := range workers {
		w.took.Reset()
		w.runs = 0
	}
	before := cpuTime()
	elapsed, err := together(ctx, workers, duration, leastRuns)
	if err != nil {
		return nil, err
	}
	used := cpuTime() - before
	c := &Cell{Threads: t, Rows: rows}
	all := load.NewHistogram()
	for _, w := range workers {
		c.Runs += w.runs
		all.Merge(w.took)
	}
	c.P50, c.P99, c.Max = all.Percentile(50).Seconds(), all.Percentile(99).Seconds(), all.Max().Seconds()
	done := float64(c.Runs) * float64(rows)
	c.RowsPerSecond, c.CPUPerMillion = done/elapsed.Seconds(), used.Seconds()/done*1e6
	c.Given = used.Seconds() / elapsed.Seconds() / float64(min(t.Workers*t.IntraOp, runtime.GOMAXPROCS(0)))
	return c, nil
}

// worker runs one batch again and again. For one goroutine.
type worker struct {
	model pipeline.Model
	batch pipeline.Batch
	took  *load.Histogram
	runs  int64
}

func newWorker(m pipeline.Model, rows int, inputs [][]schemas.Tensor, number int) *worker {
	w := &worker{model: m, took: load.NewHistogram(), batch: pipeline.Batch{Rows: rows, Reason: pipeline.ReasonFull}}
	for i := range rows {
		row := inputs[(number*rows+i)%len(inputs)]
		w.batch.Items = append(w.batch.Items, &pipeline.Item{Req: schemas.Request{Rows: 1, Single: true, Inputs: row}})
	}
	return w
}

// together lets the workers run side by side for a time, each at least so often,
// and returns how long the last one took.
func together(ctx context.Context, workers []*worker, duration time.Duration, least int64) (time.Duration, error) {
	var running sync.WaitGroup
	errs := make([]error, len(workers))
	began := time.Now()
	for i, w := range workers {
		running.Go(func() { errs[i] = w.run(ctx, began.Add(duration), least) }) // ends with its time or ctx
	}
	running.Wait()
	elapsed := time.Since(began)
	for _, err := range errs {
		if err != nil {
			return 0, err
		}
	}
	return elapsed, nil
}

func (w *worker) run(ctx context.Context, until time.Time, least int64) error {
	for runs := int64(0); ; runs++ {
		began := time.Now()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if runs >= least && !began.Before(until) {
			return nil
		}
		for _, it := range w.batch.Items {
			it.Res.Outputs, it.Err = it.Res.Outputs[:0], nil
		}
		if err := w.model.Run(ctx, &w.batch); err != nil {
			return fmt.Errorf("run %d rows: %w", w.batch.Rows, err)
		}
		w.took.Record(time.Since(began))
		w.runs++
		for _, it := range w.batch.Items {
			if it.Err != nil {
				return fmt.Errorf("run %d rows: %w", w.batch.Rows, it.Err)
			}
		}
	}
}

// markKnees marks, for each choice of threads, the batch with the most rows per
// second and second of latency (Kleinrock's power). Where t(n) = a + b n that is
// n = a/b: below it the fixed cost is the larger part of a run, above it the
// rows are.
func markKnees(cells []*Cell) {
	best := map[Threads]*Cell{}
	power := func(c *Cell) float64 {
		if c.P50 == 0 {
			return math.Inf(1)
		}
		return c.RowsPerSecond / c.P50
	}
	for _, c := range cells {
		if b := best[c.Threads]; b == nil || power(c) > power(b) {
			best[c.Threads] = c
		}
	}
	for _, c := range best {
		c.Knee = true
	}
}
