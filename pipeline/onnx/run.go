package onnx

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/schemas"
)

// ErrRows says that the model returned another number of rows than it was
// given: which row is whose cannot be told, so no item gets an answer.
var ErrRows = errors.New("the model returned another number of rows than it was given")

// ErrClosed says that the model was closed.
var ErrClosed = errors.New("the model is closed")

// Run runs the batch: items that do not fit the signature get Err, all others
// share runs as far as the model allows. An error means that no item ran.
func (m *Model) Run(ctx context.Context, batch *pipeline.Batch) error {
	m.life.RLock() // Close waits for the runs
	defer m.life.RUnlock()
	if m.closed {
		return ErrClosed
	}
	w, err := m.take(ctx)
	if err != nil {
		return err
	}
	defer m.give(w)
	w.items = w.items[:0]
	for _, it := range batch.Items {
		if e := Validate(m.sig, &it.Req); e != nil {
			it.Err = e
			continue
		}
		w.items = append(w.items, it)
	}
	if st, ok := batch.Stage.(*stage); ok && st.model == m && len(w.items) == len(batch.Items) {
		if err := w.runStage(ctx, w.items, st); err != nil {
			return m.runError(w, err)
		}
		return nil
	}
	for rest := w.items; len(rest) > 0; {
		n := w.together(rest)
		if err := w.runGroup(ctx, rest[:n], m.maxRows); err != nil {
			return m.runError(w, err)
		}
		rest = rest[n:]
	}
	return nil
}

func (m *Model) runError(w *workerBuffers, err error) error {
	if w.session.device.fault(err) {
		return fmt.Errorf("run %s on %s: %w: %w", m.Name, w.session.device, pipeline.ErrDevice, err)
	}
	return fmt.Errorf("run %s on %s: %w", m.Name, w.session.device, err)
}

// take waits for a free set of buffers.
func (m *Model) take(ctx context.Context) (*workerBuffers, error) {
	select {
	case w := <-m.buffers:
		return w, nil
	default:
	}
	select {
	case w := <-m.buffers:
		return w, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a worker's buffers: %w", context.Cause(ctx))
	}
}

func (m *Model) give(w *workerBuffers) {
	clear(w.items)
	m.buffers <- w // as many places as sets: never blocks
}

// together counts the leading items that may share a run: one when the model
// runs alone, else those of equal shape.
func (w *workerBuffers) together(items []*pipeline.Item) int {
	if w.plan.alone {
		return 1
	}
	if !w.plan.varying {
		return len(items) // they fit the signature, which leaves no choice
	}
	for n := 1; n < len(items); n++ {
		for i := range w.plan.inputs {
			a, b := items[0].Req.Inputs[i].Shape, items[n].Req.Inputs[i].Shape
			if len(a) > 1 && !slices.Equal(a[1:], b[1:]) {
				return n
			}
		}
	}
	return len(items)
}

// runGroup runs items of equal shape, in parts of at most maxRows rows.
func (w *workerBuffers) runGroup(ctx context.Context, items []*pipeline.Item, maxRows int) error {
	rows := 0
	for _, it := range items {
		rows += it.Req.Rows
		resetResult(it, w.plan)
	}
	w.rows = rows
	if w.plan.whole() {
		return w.runWhole(ctx, items[0])
	}
	if w.plan.fixedRows > 0 {
		maxRows = w.plan.fixedRows
	}
	for start := 0; start < rows; start += maxRows {
		if err := w.runRows(ctx, items, start, min(maxRows, rows-start)); err != nil {
			return err
		}
	}
	return nil
}

// runWhole hands one item's tensors over as they are.
func (w *workerBuffers) runWhole(ctx context.Context, it *pipeline.Item) error {
	for i := range w.plan.inputs {
		t, b := &it.Req.Inputs[i], &w.inputs[i]
		w.shapes[i] = append(w.shapes[i][:0], t.Shape...)
		var err error
		if len(t.Shape) == 0 {
			w.in[i], err = b.scalar(t.Data)
		} else if w.in[i], err = b.value(t.Shape); err == nil {
			copy(b.mem, t.Data)
			err = setStrings(w.in[i], t.Strings)
		}
		if err != nil {
			return fmt.Errorf("input %q: %w", t.Name, err)
		}
	}
	if err := w.execute(ctx); err != nil {
		return err
	}
	defer w.release()
	return w.collectWhole(it)
}

// runRows runs rows start..start+n of the items taken together, padded up to
// the number of rows that the model insists on.
func (w *workerBuffers) runRows(ctx context.Context, items []*pipeline.Item, start, n int) error {
	padded := max(n, w.plan.fixedRows)
	for i := range w.plan.inputs {
		if err := w.gather(i, items, start, n, padded); err != nil {
			return fmt.Errorf("input %q: %w", w.plan.inputs[i].name, err)
		}
	}
	if err := w.execute(ctx); err != nil {
		return err
	}
	defer w.release()
	return w.collectRows(items, start, n, padded)
}

// runStage runs rows that lie in a stage already, one an item.
func (w *workerBuffers) runStage(ctx context.Context, items []*pipeline.Item, s *stage) error {
	w.rows = len(items)
	for _, it := range items {
		resetResult(it, w.plan)
	}
	for i := range s.inputs {
		w.shapes[i] = append(w.shapes[i][:0], int64(w.rows))
		w.shapes[i] = append(w.shapes[i], w.plan.inputs[i].dims[1:]...)
		v, err := s.inputs[i].value(w.shapes[i])
		if err != nil {
			return fmt.Errorf("input %q: %w", w.plan.inputs[i].name, err)
		}
		w.in[i] = v
	}
	if err := w.execute(ctx); err != nil {
		return err
	}
	defer w.release()
	return w.collectRows(items, 0, w.rows, w.rows)
}

// gather copies the rows into the worker's buffer. A padding row repeats the
// first one: valid data, so that it cannot fail a run by itself.
func (w *workerBuffers) gather(i int, items []*pipeline.Item, start, n, padded int) error {
	b, first := &w.inputs[i], &items[0].Req.Inputs[i]
	w.shapes[i] = append(w.shapes[i][:0], first.Shape...)
	w.shapes[i][0] = int64(padded)
	v, err := b.value(w.shapes[i])
	if err != nil {
		return err
	}
	w.in[i] = v
	if !numeric(b.typ) {
		b.strings = b.strings[:0]
		each(items, start, n, func(it *pipeline.Item, from, to int) {
			t := &it.Req.Inputs[i]
			per := len(t.Strings) / it.Req.Rows
			b.strings = append(b.strings, t.Strings[from*per:to*per]...)
		})
		for per := len(b.strings) / n; n < padded; n++ {
			b.strings = append(b.strings, b.strings[:per]...)
		}
		return setStrings(v, b.strings)
	}
	at := 0
	each(items, start, n, func(it *pipeline.Item, from, to int) {
		t := &it.Req.Inputs[i]
		per := len(t.Data) / it.Req.Rows
		at += copy(b.mem[at:], t.Data[from*per:to*per])
	})
	for per := at / n; n < padded; n++ {
		at += copy(b.mem[at:], b.mem[:per])
	}
	return nil
}

// each calls visit for every item that has rows within start..start+n, with the
// item's own rows from..to.
func each(items []*pipeline.Item, start, n int, visit func(it *pipeline.Item, from, to int)) {
	at := 0 // the first row of the item
	for _, it := range items {
		from, to := max(start-at, 0), min(start+n-at, it.Req.Rows)
		if from < to {
			visit(it, from, to)
		}
		at += it.Req.Rows
		if at >= start+n {
			return
		}
	}
}

// SelfTest runs the row of the warm-up: it tells a broken device from a bad
// row. A model that no made-up row could run cannot be tested: nil.
func (m *Model) SelfTest(ctx context.Context) error {
	if m.warm == nil {
		return nil
	}
	it := &pipeline.Item{Req: schemas.Request{Rows: 1, Inputs: m.warm}}
	err := m.Run(ctx, &pipeline.Batch{Items: []*pipeline.Item{it}, Rows: 1})
	if err == nil && it.Err != nil {
		err = it.Err
	}
	return err
}
