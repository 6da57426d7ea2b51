package onnx

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/schemas"
)

const (
	// probeRows and fewerRows are the two batch sizes: both at most what any
	// model was seen to need, coprime, so that a dimension that follows the
	// batch cannot be mistaken.
	probeRows = 8
	fewerRows = 5
	// probeRounds of new values: coupling can hide in one draw (a maximum that
	// stays where it is).
	probeRounds = 3
	// probeBudget ends the rounds for slow models; the first is always whole.
	probeBudget = 3 * time.Second
	// maxProbeElements of one input: larger made-up tensors are not tried.
	maxProbeElements = 1 << 23
	// unmapped: an output whose rows could not be matched with the input's.
	unmapped = -2
)

// prober runs made-up rows through a session to see how the model treats them.
type prober struct {
	session       *session
	inputs        []port
	outputs       []port
	independent   string
	timeout       time.Duration // of each run, 0 for none
	seen          []shapes
	rounds        int
	flavour, size string
}

// shapes of one run.
type shapes struct{ in, out [][]int64 }

// evidence is a run that worked: the base of the comparisons.
type evidence struct {
	c     candidate
	maker *rowMaker
	rows  [][]schemas.Tensor
	out   []schemas.Output
	axes  []int // of the outputs
}

// decide finds out how the model may be run. A refusal is not an error: it is
// in refused.
func (p *prober) decide(ctx context.Context) (pl *plan, warm []schemas.Tensor, refused string, err error) {
	c := guess(p.inputs, p.outputs)
	rows := probeRows
	if c.fixedRows > 0 {
		rows = c.fixedRows
	}
	if noRows(c.axes) {
		rows = 1
	}
	for i := range p.outputs {
		o := p.provisional(i, c)
		if o.mustKnow() && o.dims == nil {
			return nil, nil, fmt.Sprintf("unreadable_output: output %q is %s and its shape depends on the data, which the binding cannot read", o.name, o.typ), nil
		}
	}
	e, err := p.firstRun(ctx, c, rows)
	if err != nil {
		return nil, nil, "", err
	}
	if e == nil && rows > 1 && c.fixedRows == 0 {
		if e, err = p.firstRun(ctx, c, 1); err != nil {
			return nil, nil, "", err
		}
		if e != nil {
			e.c.alone = fmt.Sprintf("one_row: it runs with one row, and with %d it fails", rows)
		}
	}
	if e == nil {
		return p.unproven(c), nil, "", nil
	}
	refused, err = p.judge(ctx, e)
	if refused != "" || err != nil {
		return nil, nil, refused, err
	}
	return p.plan(e.c, e.axes), join(e.rows[:1], e.c.axes), "", nil
}

// judge sets e.c.alone when rows may not share a batch, and e.axes.
func (p *prober) judge(ctx context.Context, e *evidence) (refused string, err error) {
	if err := p.mapOutputs(ctx, e); err != nil {
		return "", err
	}
	if e.c.alone != "" {
		for o, axis := range e.axes {
			if axis == unmapped {
				e.axes[o] = -1
			}
		}
		return "", nil
	}
	reason, err := p.coupled(ctx, e)
	if err != nil || reason == "" {
		return "", err
	}
	if o := slices.Index(e.axes, unmapped); o >= 0 {
		if drops, err := p.drops(ctx, e, o); drops != "" || err != nil {
			return drops, err
		}
	}
	for axis := 1; axis < 4; axis++ {
		if other, ok := onAxis(p.inputs, axis); ok {
			found, err := p.rowsOn(ctx, other, e)
			if found || err != nil {
				return "", err
			}
		}
	}
	e.c.alone = reason
	for o, axis := range e.axes {
		if axis == unmapped {
			e.axes[o] = -1
		}
	}
	return "", nil
}

// rowsOn tests the guess that rows lie on another axis, and takes it over into
// e when it holds.
func (p *prober) rowsOn(ctx context.Context, c candidate, e *evidence) (bool, error) {
	other, err := p.firstRun(ctx, c, probeRows)
	if err != nil || other == nil {
		return false, err
	}
	if err := p.mapOutputs(ctx, other); err != nil {
		return false, err
	}
	reason, err := p.coupled(ctx, other)
	if err != nil || reason != "" {
		return false, err
	}
	*e = *other
	return true, nil
}

// firstRun looks for made-up values and sizes that the model accepts, the most
// telling first; nil when there are none.
func (p *prober) firstRun(ctx context.Context, c candidate, n int) (*evidence, error) {
	sizes := varyingSizes
	if !varying(p.inputs, c.axes) {
		sizes = sizes[:1]
	}
	for values := range flavours {
		for _, size := range sizes {
			maker := newRowMaker(p.inputs, c.axes, values, size, 1)
			if p.elements(c.axes, size, n) > maxProbeElements {
				continue
			}
			rows := maker.rows(n)
			out, err := p.run(ctx, rows, c)
			if err == nil {
				p.flavour, p.size = values.String(), fmt.Sprint(size)
				return &evidence{c: c, maker: maker, rows: rows, out: out}, nil
			}
			if fatal := p.fatal(ctx, err); fatal != nil {
				return nil, fatal
			}
		}
	}
	return nil, nil
}

// fatal tells an error that has nothing to do with the values.
func (p *prober) fatal(ctx context.Context, err error) error {
	if ctx.Err() != nil || p.session.device.fault(err) {
		return fmt.Errorf("probe the model: %w", err)
	}
	return nil
}

// run runs rows and notes the shapes.
func (p *prober) run(ctx context.Context, rows [][]schemas.Tensor, c candidate) ([]schemas.Output, error) {
	provisional := &plan{inputs: p.inputs, axes: c.axes, alone: true}
	for i := range p.outputs {
		provisional.outputs = append(provisional.outputs, p.provisional(i, c))
	}
	w, err := newWorkerBuffers(p.session, provisional)
	if err != nil {
		return nil, err
	}
	defer w.free()
	it := &pipeline.Item{Req: schemas.Request{Rows: len(rows), Inputs: join(rows, c.axes)}}
	resetResult(it, provisional)
	if err := bounded(ctx, p.timeout, func(ctx context.Context) error { return w.runWhole(ctx, it) }); err != nil {
		return nil, err
	}
	var s shapes
	for i := range it.Req.Inputs {
		s.in = append(s.in, it.Req.Inputs[i].Shape)
	}
	for o := range it.Res.Outputs {
		s.out = append(s.out, it.Res.Outputs[o].Shape)
	}
	p.seen = append(p.seen, s)
	return it.Res.Outputs, nil
}

// provisional is an output before its rows are known: the runtime allocates it
// unless the binding cannot read it then.
func (p *prober) provisional(i int, c candidate) outputPlan {
	o := outputPlan{port: p.outputs[i], axis: -1}
	if !o.mustKnow() {
		return o
	}
	guessed := o
	if len(o.port.dims) > 0 && (o.port.dims[0] < 0 && o.symbols[0] == "") {
		guessed.axis = 0
	}
	o.dims = guessed.refer(p.inputs, c.axes)
	return o
}

// mapOutputs finds each output's row axis by what follows the number of rows.
func (p *prober) mapOutputs(ctx context.Context, e *evidence) error {
	e.axes = make([]int, len(p.outputs))
	if e.c.fixedRows > 0 || len(e.rows) < probeRows {
		for o := range e.axes {
			if noRows(e.c.axes) || rowCount(&e.out[o], 0) != int64(len(e.rows)) || p.dataDependent(o) {
				e.axes[o] = -1
			}
		}
		return nil
	}
	fewer, err := p.run(ctx, e.rows[:fewerRows], e.c)
	if err != nil {
		if fatal := p.fatal(ctx, err); fatal != nil {
			return fatal
		}
		fewer = make([]schemas.Output, len(p.outputs))
	}
	for o := range e.axes {
		e.axes[o] = followsRows(&e.out[o], &fewer[o])
		if e.axes[o] == -1 && p.dataDependent(o) {
			e.axes[o] = unmapped
		}
	}
	return nil
}

// dataDependent: a dimension may vary and has a name that no input has.
func (p *prober) dataDependent(o int) bool {
	out := &p.outputs[o]
	for a, d := range out.dims {
		if d >= 0 || out.symbols[a] == "" {
			continue
		}
		if _, ok := symbolRef(out.symbols[a], p.inputs); !ok {
			return true
		}
	}
	return false
}

// followsRows compares an output of probeRows rows with one of fewerRows.
func followsRows(more, fewer *schemas.Output) int {
	if more.Maps != nil {
		if len(more.Maps) == probeRows && len(fewer.Maps) == fewerRows {
			return 0
		}
		return unmapped
	}
	if len(more.Shape) != len(fewer.Shape) {
		return unmapped
	}
	axis := -1
	for a, d := range more.Shape {
		if d == fewer.Shape[a] {
			continue
		}
		if axis >= 0 || d != probeRows || fewer.Shape[a] != fewerRows {
			return unmapped
		}
		axis = a
	}
	return axis
}

// unproven: no made-up row ran, so the declarations have to do.
func (p *prober) unproven(c candidate) *plan {
	if c.alone == "" && p.independent != independentTrue {
		c.alone = "unproven: none of the made-up rows ran, so that it is not known whether rows may share a batch (model.independent: true says so)"
	}
	axes := make([]int, len(p.outputs))
	for o := range p.outputs {
		axes[o] = -1
		for a, symbol := range p.outputs[o].symbols {
			ref, ok := symbolRef(symbol, p.inputs)
			if axes[o] < 0 && ok && c.axes[ref.input] == ref.axis {
				axes[o] = a
			}
		}
		if p.outputs[o].sequence || c.fixedRows > 0 && len(p.outputs[o].dims) > 0 && p.outputs[o].dims[0] == int64(c.fixedRows) {
			axes[o] = 0
		}
	}
	return p.plan(c, axes)
}

// plan turns a candidate into the way the model is run. An output's memory is
// prepared only where every run so far had the expected shape.
func (p *prober) plan(c candidate, outAxes []int) *plan {
	pl := &plan{inputs: p.inputs, axes: c.axes, fixedRows: c.fixedRows, varying: varying(p.inputs, c.axes), alone: c.alone != "", reason: c.alone}
	for i := range p.outputs {
		o := outputPlan{port: p.outputs[i], axis: outAxes[i]}
		o.dims = o.refer(p.inputs, c.axes)
		if !o.mustKnow() && !p.confirmed(&o, i) {
			o.dims = nil
		}
		if o.mustKnow() && o.dims == nil {
			o.dims = p.provisional(i, c).dims
		}
		pl.outputs = append(pl.outputs, o)
	}
	return pl
}

func (p *prober) confirmed(o *outputPlan, i int) bool {
	if o.dims == nil {
		return false
	}
	for _, s := range p.seen {
		if !slices.Equal(o.shape(nil, s.in), s.out[i]) {
			return false
		}
	}
	return len(p.seen) > 0
}

func (p *prober) elements(axes []int, size int64, n int) int64 {
	total := int64(0)
	for i := range p.inputs {
		count := int64(n)
		for a, d := range p.inputs[i].dims {
			switch {
			case a == axes[i]:
			case d < 0:
				count *= size
			default:
				count *= d
			}
		}
		total = max(total, count)
	}
	return total
}

func noRows(axes []int) bool {
	return !slices.ContainsFunc(axes, func(a int) bool { return a >= 0 })
}

// varying says that a dimension other than the rows may vary.
func varying(inputs []port, axes []int) bool {
	for i := range inputs {
		for a, d := range inputs[i].dims {
			if d < 0 && a != axes[i] {
				return true
			}
		}
	}
	return false
}
