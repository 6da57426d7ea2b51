package onnx

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-ml/sluice/schemas"
)

// coupled says why rows may not share a batch, "" when nothing speaks against
// it: at one batch size, with neighbours exchanged and then with the rows
// rotated, each row's answer must stay the same bit by bit. (Between batch
// sizes the low bits of float models may differ; that is not coupling.)
func (p *prober) coupled(ctx context.Context, e *evidence) (string, error) {
	if o := slices.Index(e.axes, unmapped); o >= 0 {
		return fmt.Sprintf("data_dependent_rows: the rows of output %q (shape %v for %d rows) do not follow the input's", p.outputs[o].name, e.out[o].Shape, len(e.rows)), nil
	}
	for o, axis := range e.axes {
		if axis > 0 {
			return fmt.Sprintf("batch_axis: output %q has its rows on axis %d, not on axis 0", p.outputs[o].name, axis), nil
		}
	}
	if p.independent != independentProbe {
		return "", nil // the configuration says so; how outputs map was seen
	}
	start := time.Now()
	for p.rounds = 0; p.rounds < probeRounds; p.rounds++ {
		if p.rounds > 0 && time.Since(start) > probeBudget {
			break
		}
		reason, err := p.round(ctx, e, uint64(p.rounds)+2)
		if reason != "" || err != nil {
			return reason, err
		}
	}
	return "", nil
}

// round makes one set of comparisons on new values.
func (p *prober) round(ctx context.Context, e *evidence, seed uint64) (string, error) {
	maker := newRowMaker(p.inputs, e.c.axes, e.maker.values, e.maker.size, seed)
	n := len(e.rows)
	base, fresh := maker.rows(n), maker.rows(n)
	if seed == 2 {
		base = e.rows // known to run
	}
	want, err := p.run(ctx, base, e.c)
	if err != nil {
		return "", p.fatal(ctx, err) // these values do not run: nothing to compare
	}
	identity := func(r int) int { return r }
	for _, t := range []struct {
		reason string
		rows   func(r int) []schemas.Tensor
		from   func(r int) int // which row of base, -1: a new one
	}{
		{"not_deterministic: output %q of row %d differs when the same batch runs again", func(r int) []schemas.Tensor { return base[r] }, identity},
		{"batch_coupled: output %q of row %d changes with its neighbours", alternate(base, fresh, 0), keep(0)},
		{"batch_coupled: output %q of row %d changes with its neighbours", alternate(base, fresh, 1), keep(1)},
		{"batch_coupled: output %q of row %d changes with its place in the batch", func(r int) []schemas.Tensor { return base[(r+3)%n] }, func(r int) int { return (r + 3) % n }},
	} {
		rows := make([][]schemas.Tensor, n)
		for r := range rows {
			rows[r] = t.rows(r)
		}
		got, err := p.run(ctx, rows, e.c)
		if err != nil {
			if fatal := p.fatal(ctx, err); fatal != nil {
				return "", fatal
			}
			continue // the new values do not run
		}
		if o, row := p.difference(e, want, got, t.from); o >= 0 {
			return fmt.Sprintf(t.reason, p.outputs[o].name, row), nil
		}
	}
	return "", nil
}

// alternate keeps every second row of base and takes the others from fresh.
func alternate(base, fresh [][]schemas.Tensor, parity int) func(int) []schemas.Tensor {
	return func(r int) []schemas.Tensor {
		if r%2 == parity {
			return base[r]
		}
		return fresh[r]
	}
}

func keep(parity int) func(int) int {
	return func(r int) int {
		if r%2 == parity {
			return r
		}
		return -1
	}
}

// difference finds an output whose row r is not row from(r) of want. An output
// whose number of rows has changed is unmapped from then on.
func (p *prober) difference(e *evidence, want, got []schemas.Output, from func(int) int) (output, row int) {
	n := len(e.rows)
	for o, axis := range e.axes {
		if axis >= 0 && rowCount(&got[o], axis) != int64(n) || axis < 0 && !slices.Equal(want[o].Shape, got[o].Shape) {
			e.axes[o] = unmapped
			return o, 0
		}
		for r := range n {
			if axis < 0 && r > 0 {
				break
			}
			j := from(r)
			if axis < 0 {
				j = 0
			}
			if j >= 0 && !sameRow(&got[o], r, &want[o], j, axis) {
				return o, r
			}
		}
	}
	return -1, 0
}

// drops tells a model that leaves rows out from one whose rows each have any
// number of results: alone, each row of the former gives one row or none, and
// together as many as in the batch. Which rows are left cannot be told from the
// answer, so such a model is refused.
func (p *prober) drops(ctx context.Context, e *evidence, o int) (string, error) {
	kept, dropped := int64(0), 0
	for _, row := range e.rows {
		out, err := p.run(ctx, [][]schemas.Tensor{row}, e.c)
		if err != nil {
			return "", p.fatal(ctx, err)
		}
		switch n := rowCount(&out[o], 0); n {
		case 0:
			dropped++
		case 1:
			kept++
		default:
			return "", nil
		}
	}
	if dropped == 0 || kept == 0 || kept != rowCount(&e.out[o], 0) {
		return "", nil
	}
	return fmt.Sprintf("rows_dropped: output %q has %d rows for %d: the model leaves rows out, and which ones cannot be told from its answer; let it mark them instead", p.outputs[o].name, kept, len(e.rows)), nil
}
