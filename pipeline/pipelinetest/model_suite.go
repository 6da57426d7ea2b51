package pipelinetest

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/schemas"
)

// ModelSubject is a model under test.
type ModelSubject struct {
	Model pipeline.Model
	// NewRequest is a valid request of one row whose content depends on i; equal
	// i give equal requests, and all have one shape.
	NewRequest func(i int) schemas.Request
	// Rows is the largest batch to try; 1 where Signature says Alone.
	Rows int
}

// ModelFactory makes a fresh model, ready to run; closing it is the suite's.
type ModelFactory func(t *testing.T) ModelSubject

// RunModelSuite checks what pipeline.Model promises.
func RunModelSuite(t *testing.T, factory ModelFactory) {
	t.Helper()
	for name, check := range map[string]func(*testing.T, ModelSubject){
		"a batch gives each row its own answer": modelKeepsRowsApart,
		"results own their memory":              modelResultsStay,
		"runs are safe side by side":            modelRunsSideBySide,
		"run ends with its context":             modelEndsWithContext,
		"self-test passes":                      modelTestsItself,
	} {
		t.Run(name, func(t *testing.T) {
			s := factory(t)
			t.Cleanup(func() {
				if err := s.Model.Close(); err != nil {
					t.Errorf("Close() = %v", err)
				}
			})
			if sig := s.Model.Signature(); sig == nil || len(sig.Outputs) == 0 {
				t.Fatal("Signature() names no outputs")
			}
			check(t, s)
		})
	}
}

// items makes the requests from..from+n.
func (s ModelSubject) items(from, n int) []*pipeline.Item {
	var out []*pipeline.Item
	for i := range n {
		it := pipeline.NewItem()
		it.Topic, it.Offset, it.Req = "in", int64(from+i), s.NewRequest(from+i)
		it.Req.Rows = max(it.Req.Rows, 1)
		out = append(out, it)
	}
	return out
}

func (s ModelSubject) run(ctx context.Context, items []*pipeline.Item) error {
	rows := 0
	for _, it := range items {
		rows += it.Req.Rows
	}
	return s.Model.Run(ctx, &pipeline.Batch{Items: items, Rows: rows, Reason: pipeline.ReasonIdle})
}

func (s ModelSubject) mustRun(t *testing.T, items []*pipeline.Item) {
	t.Helper()
	if err := s.run(t.Context(), items); err != nil {
		t.Fatalf("Run of %d items: %v", len(items), err)
	}
	for _, it := range items {
		if it.Err != nil {
			t.Fatalf("request %d: %v", it.Offset, it.Err)
		}
		if len(it.Res.Outputs) == 0 {
			t.Fatalf("request %d has neither a result nor an error", it.Offset)
		}
	}
}

// sameOutputs compares results up to the low bits that a batch size may change.
func sameOutputs(t *testing.T, want, got []schemas.Output) {
	t.Helper()
	if len(want) != len(got) {
		t.Fatalf("%d outputs, want %d", len(got), len(want))
	}
	for i := range want {
		if diff := cmp.Diff(want[i], got[i], cmpopts.EquateEmpty(), cmpopts.IgnoreFields(schemas.Tensor{}, "Data")); diff != "" {
			t.Fatalf("output %d (-want +got):\n%s", i, diff)
		}
		if want[i].Type != schemas.FP32 {
			if diff := cmp.Diff(want[i].Data, got[i].Data, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("output %d (-want +got):\n%s", i, diff)
			}
			continue
		}
		w, g := Floats(want[i].Data), Floats(got[i].Data)
		if len(w) != len(g) {
			t.Fatalf("output %s has %d elements, want %d", want[i].Name, len(g), len(w))
		}
		for j := range w {
			if math.Abs(float64(w[j]-g[j])) > 1e-5+1e-5*math.Abs(float64(w[j])) {
				t.Fatalf("output %s[%d] = %g, want %g", want[i].Name, j, g[j], w[j])
			}
		}
	}
}

func modelKeepsRowsApart(t *testing.T, s ModelSubject) {
	t.Helper()
	for n := 1; n <= s.Rows; n = n*2 + 1 {
		alone, together := s.items(0, n), s.items(0, n)
		for i := range alone {
			s.mustRun(t, alone[i:i+1])
		}
		s.mustRun(t, together)
		for i := range alone {
			sameOutputs(t, alone[i].Res.Outputs, together[i].Res.Outputs)
		}
	}
}

func modelResultsStay(t *testing.T, s ModelSubject) {
	t.Helper()
	first, again := s.items(0, s.Rows), s.items(0, s.Rows)
	s.mustRun(t, first)
	for range 3 {
		s.mustRun(t, s.items(1000, s.Rows))
	}
	s.mustRun(t, again)
	for i := range first {
		sameOutputs(t, again[i].Res.Outputs, first[i].Res.Outputs)
	}
}

func modelRunsSideBySide(t *testing.T, s ModelSubject) {
	t.Helper()
	want := s.items(0, s.Rows)
	s.mustRun(t, want)
	var group sync.WaitGroup
	results := make([][]*pipeline.Item, 4)
	errs := make([]error, len(results))
	for g := range results {
		results[g] = s.items(0, s.Rows)
		group.Go(func() { // ends with its runs
			for range 20 {
				errs[g] = errors.Join(errs[g], s.run(t.Context(), results[g]))
			}
		})
	}
	group.Wait()
	for g, items := range results {
		if errs[g] != nil {
			t.Fatalf("Run side by side: %v", errs[g])
		}
		for i := range items {
			sameOutputs(t, want[i].Res.Outputs, items[i].Res.Outputs)
		}
	}
}

func modelEndsWithContext(t *testing.T, s ModelSubject) {
	t.Helper()
	cause := errors.New("cut")
	ctx, cut := context.WithCancelCause(t.Context())
	cut(cause)
	began := time.Now()

	err := s.run(ctx, s.items(0, s.Rows))

	if err == nil || !errors.Is(err, cause) {
		t.Errorf("Run under an ended context = %v, want an error that matches its cause", err)
	}
	if waited := time.Since(began); waited > patience {
		t.Errorf("Run under an ended context took %s", waited)
	}
}

func modelTestsItself(t *testing.T, s ModelSubject) {
	t.Helper()
	tester, ok := s.Model.(pipeline.SelfTester)
	if !ok {
		return // a model need not
	}
	if err := tester.SelfTest(t.Context()); err != nil {
		t.Errorf("SelfTest() = %v, want nil on a working device", err)
	}
}
