package onnx

import (
	"bytes"
	"testing"

	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/schemas"
)

// staged decodes items of one row each into a stage, as the pipeline does.
func staged(tb testing.TB, m *Model, items []*pipeline.Item) *pipeline.Batch {
	tb.Helper()
	s := m.NewStage(len(items))
	if s == nil {
		tb.Fatal("NewStage() = nil")
	}
	tb.Cleanup(s.Close)
	for r, it := range items {
		for i := range it.Req.Inputs {
			t := &it.Req.Inputs[i]
			t.Data = append(s.Row(i, r), t.Data...)
		}
	}
	return &pipeline.Batch{Items: items, Rows: len(items), Stage: s}
}

func TestStagedRowsGiveTheSameAnswers(t *testing.T) {
	t.Parallel()
	m := load(t, "mlp_784_32x4_10", func(c *Config) { c.MaxRows = 64 })
	for _, n := range []int{1, 2, 63, 64} {
		rows := func() (out []*pipeline.Item) {
			for r := range n {
				out = append(out, item(1, f32("h0", dims(1, 784), vec(r, 784)...)))
			}
			return out
		}
		gathered, inPlace := rows(), rows()
		if err := run(t.Context(), m, gathered...); err != nil {
			t.Fatal(err)
		}
		if err := m.Run(t.Context(), staged(t, m, inPlace)); err != nil {
			t.Fatal(err)
		}
		for r := range n {
			got, want := &inPlace[r].Res.Outputs[0], &gathered[r].Res.Outputs[0]
			if !bytes.Equal(got.Data, want.Data) || inPlace[r].BatchRows != n || len(got.Data) != 40 {
				t.Errorf("row %d of %d: % x in place, % x gathered, batch of %d", r, n, got.Data, want.Data, inPlace[r].BatchRows)
			}
		}
	}
}

// What does not fit the signature is no row of the run: the rest is gathered.
func TestStagedItemThatDoesNotFitGetsItsError(t *testing.T) {
	t.Parallel()
	m := load(t, "mlp_784_32x4_10")
	items := []*pipeline.Item{
		item(1, f32("h0", dims(1, 784), vec(0, 784)...)),
		item(1, f32("h0", dims(2, 392), vec(1, 784)...)),
		item(1, f32("h0", dims(1, 784), vec(2, 784)...)),
	}
	if err := m.Run(t.Context(), staged(t, m, items)); err != nil {
		t.Fatal(err)
	}
	alone := item(1, f32("h0", dims(1, 784), vec(2, 784)...))
	if err := run(t.Context(), m, item(1, f32("h0", dims(1, 784), vec(0, 784)...)), alone); err != nil {
		t.Fatal(err)
	}
	if items[1].Err == nil || items[1].Err.Class != schemas.WrongShape {
		t.Errorf("Err = %v, want %s", items[1].Err, schemas.WrongShape)
	}
	if got, want := items[2].Res.Outputs[0].Data, alone.Res.Outputs[0].Data; !bytes.Equal(got, want) {
		t.Errorf("the row behind it has % x, want % x", got, want)
	}
}

func TestStageOnlyWhereRowsCanRunInPlace(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"mlp_784_32x4_10": true, "affine": true, "fails_on_data": true, "float16": true, "scalar_per_row": true, "mixed_io": true,
		"tokens_dyn":    false, // a dimension varies
		"fixed_batch4":  false, // short batches are padded
		"batch_coupled": false, // rows run alone
		"batch_axis1":   false,
		"string_input":  false,
		"rank0_input":   false, // shared by all rows
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := load(t, name)
			s := m.NewStage(4)
			if s != nil {
				defer s.Close()
			}
			if (s != nil) != want {
				t.Errorf("NewStage() = %v, want one: %t (signature %+v)", s, want, m.Signature())
			}
		})
	}
}
