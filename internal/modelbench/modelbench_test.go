package modelbench

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-ml/sluice/internal/plot"
	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/schemas"
)

// linear is a model whose run takes fixed + perRow n, on a machine with so many
// processors: with more workers each takes its turn.
type linear struct {
	fixed, perRow time.Duration
	processors    chan struct{}
	runs          atomic.Int64
	fail          *schemas.Error
}

func newLinear(fixed, perRow time.Duration, processors int) *linear {
	return &linear{fixed: fixed, perRow: perRow, processors: make(chan struct{}, processors)}
}

var _ pipeline.Model = (*linear)(nil)

func (m *linear) Run(_ context.Context, b *pipeline.Batch) error {
	m.processors <- struct{}{}
	time.Sleep(m.fixed + time.Duration(b.Rows)*m.perRow)
	<-m.processors
	m.runs.Add(1)
	if len(b.Items) != b.Rows {
		return fmt.Errorf("%d items for %d rows", len(b.Items), b.Rows)
	}
	b.Items[len(b.Items)-1].Err = m.fail
	return nil
}

func (*linear) Signature() *schemas.Signature { return nil }

func (*linear) Close() error { return nil }

func measure(t *testing.T, m pipeline.Model, threads Threads, sizes ...int) *Report {
	t.Helper()
	r := &Report{Model: "m", Device: "none"}
	for _, n := range sizes {
		c, err := Measure(t.Context(), m, threads, n, [][]schemas.Tensor{nil, nil}, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		r.Cells = append(r.Cells, c)
	}
	return r
}

func near(got, want, share float64) bool { return math.Abs(got-want) <= share*want }

// A model of 200 us a run and 10 us a row: the fit finds both, the knee is where
// they are equal (20 rows, so 16 of the sizes tried), and 95 % of what 1024 do
// take 512 (256 reach 94.6 %).
func TestALinearModelIsSeenThrough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := measure(t, newLinear(200*time.Microsecond, 10*time.Microsecond, 1), Threads{1, 1}, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
		r.Finish()
		f := r.Fits[0]
		if !near(f.Fixed, 200e-6, 0.01) || !near(f.PerRow, 10e-6, 0.01) || f.Off > 0.01 {
			t.Errorf("%s", f.String())
		}
		for _, c := range r.Cells {
			took := 200e-6 + float64(c.Rows)*10e-6
			if !near(c.P50, took, 0.002) || !near(c.P99, took, 0.002) || !near(c.RowsPerSecond, float64(c.Rows)/took, 0.002) {
				t.Errorf("%+v", *c)
			}
			if c.Knee != (c.Rows == 16) {
				t.Errorf("batch %d: knee %v", c.Rows, c.Knee)
			}
		}
		if m := r.Recommendation; m.MaxRows != 512 || m.Workers != 1 || !strings.Contains(m.Why, "batches of 1024") {
			t.Errorf("%+v", m)
		}
	})
}

func TestMoreWorkersThanProcessorsAreNotRecommended(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newLinear(100*time.Microsecond, 50*time.Microsecond, 2)
		all := &Report{}
		for _, threads := range []Threads{{1, 1}, {2, 1}, {8, 1}} {
			all.Cells = append(all.Cells, measure(t, m, threads, 1, 64).Cells...)
		}
		all.Finish()
		if got := all.Recommendation; got.Workers != 2 || got.MaxRows != 64 || !strings.Contains(got.Why, "try larger batches") {
			t.Errorf("%+v", got)
		}
		if one, eight := all.Cells[0], all.Cells[4]; !near(eight.P50, 4*one.P50, 0.1) {
			t.Errorf("eight workers on two processors: %v, one %v", eight.P50, one.P50)
		}
	})
}

func TestASlowModelRunsAFewTimesAtLeast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newLinear(5*time.Second, 0, 4)
		r := measure(t, m, Threads{2, 1}, 1)
		if c := r.Cells[0]; c.Runs != 2*leastRuns || m.runs.Load() != 2*(leastRuns+1) || !near(c.P50, 5, 0.01) {
			t.Errorf("%+v after %d runs", *c, m.runs.Load())
		}
		r.Finish() // one batch size has no fit
		if len(r.Fits) != 0 || r.Recommendation.MaxRows != 1 {
			t.Errorf("%+v", r)
		}
	})
}

func TestAFailedRowEndsTheMeasurement(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newLinear(time.Millisecond, 0, 4)
		m.fail = &schemas.Error{Class: schemas.RunFailed, Message: "index out of range"}
		if _, err := Measure(t.Context(), m, Threads{2, 1}, 4, [][]schemas.Tensor{nil}, time.Second); err == nil || !strings.Contains(err.Error(), "index out of range") {
			t.Error(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("enough")
		time.AfterFunc(time.Second, func() { cancel(why) })
		m.fail = nil
		if _, err := Measure(ctx, m, Threads{2, 1}, 4, [][]schemas.Tensor{nil}, time.Hour); !errors.Is(err, why) {
			t.Error(err)
		}
	})
}

func TestFitsAreNeverNegative(t *testing.T) {
	t.Parallel()
	cells := func(p50 ...float64) []*Cell {
		var all []*Cell
		for i, v := range p50 {
			all = append(all, &Cell{Threads: Threads{1, 1}, Rows: 1 << i, P50: v})
		}
		return all
	}
	if f, ok := fit(Threads{1, 1}, cells(1e-6, 4e-6, 20e-6)); !ok || f.Fixed != 0 || f.PerRow <= 0 {
		t.Errorf("faster than its rows: %s", f.String())
	}
	if f, ok := fit(Threads{1, 1}, cells(5e-6, 4e-6, 3e-6)); !ok || f.PerRow != 0 || f.Fixed <= 0 {
		t.Errorf("flat: %s", f.String())
	}
	if _, ok := fit(Threads{2, 1}, cells(1, 2)); ok {
		t.Error("a fit of other threads")
	}
}

func TestThreadsInARunAreNotRecommended(t *testing.T) {
	t.Parallel()
	cells := []*Cell{{Threads: Threads{1, 1}, Rows: 1, P50: 1, RowsPerSecond: 10}, {Threads: Threads{1, 4}, Rows: 1, P50: 1, RowsPerSecond: 30}}
	if r := Recommend(cells); r.Workers != 1 || !strings.Contains(r.Why, "4 threads in a run would do 30 rows/s") {
		t.Errorf("%+v", r)
	}
	if r := Recommend(cells[1:]); r != nil {
		t.Errorf("%+v", r)
	}
}

func TestListsAreRead(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"1..8": "[1 2 4 8]", "3..20": "[3 6 12 20]", "16, 1,16": "[1 16]", "7..7": "[7]"} {
		if got, err := ParseBatches(text); err != nil || fmt.Sprint(got) != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "8..1", "a..b", "1,x", "1..99999999"} {
		if got, err := ParseBatches(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
	if got, err := ParseThreads("1x1, 2x1,1x1"); err != nil || fmt.Sprint(got) != "[{1 1} {2 1}]" {
		t.Errorf("%v, %v", got, err)
	}
	for _, text := range []string{"", "2", "0x1", "1x0", "axb"} {
		if got, err := ParseThreads(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestThePageIsWhole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := measure(t, newLinear(200*time.Microsecond, 10*time.Microsecond, 1), Threads{1, 1}, 1, 16, 1024)
		r.Cells = append(r.Cells, measure(t, newLinear(200*time.Microsecond, 10*time.Microsecond, 1), Threads{2, 1}, 1, 16, 1024).Cells...)
		r.Model = "a<b"
		r.Finish()
		var page, picture bytes.Buffer
		if err := plot.WriteHTML(&page, r.Page()); err != nil {
			t.Fatal(err)
		}
		if err := plot.WriteSVG(&picture, r.Charts()...); err != nil {
			t.Fatal(err)
		}
		for d := xml.NewDecoder(&picture); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []string{"knee of 1x1", "recommended", "Recommended: model.workers: ", "a&lt;b", "1x1: t(n) = 200 µs "} {
			if !strings.Contains(page.String(), want) {
				t.Errorf("no %q in the page", want)
			}
		}
	})
}
