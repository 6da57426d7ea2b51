package onnx

import (
	"fmt"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/schemas"
)

// resetResult empties an item's result and keeps its memory.
func resetResult(it *pipeline.Item, p *plan) {
	outs := it.Res.Outputs
	if cap(outs) < len(p.outputs) {
		outs = append(make([]schemas.Output, 0, len(p.outputs)), outs...)
	}
	outs = outs[:len(p.outputs)]
	for o := range outs {
		out := &outs[o]
		out.Name, out.Type = p.outputs[o].name, p.outputs[o].typ
		out.Shape, out.Data, out.Strings, out.Maps = out.Shape[:0], out.Data[:0], out.Strings[:0], nil
		out.HasRows = p.outputs[o].axis >= 0
	}
	it.Res.Outputs = outs
}

// produced is what a run wrote for one output.
type produced struct {
	shape   []int64
	data    []byte
	strings []string
	maps    []schemas.Map
}

// read gives access to output o; what it returns is valid until the next run.
func (w *workerBuffers) read(o int) (produced, error) {
	op, v := &w.plan.outputs[o], w.out[o]
	if len(op.dims) > 0 {
		w.shape = op.shape(w.shape, w.shapes)
		return produced{shape: w.shape, data: w.outputs[o].mem}, nil
	}
	switch v := v.(type) {
	case *ort.Sequence:
		maps, err := readMaps(v)
		return produced{maps: maps}, err
	case *ort.StringTensor:
		s, err := valueStrings(v)
		return produced{shape: v.GetShape(), strings: s}, err
	default:
		data, err := valueBytes(v)
		return produced{shape: v.GetShape(), data: data}, err
	}
}

// collectWhole gives one item everything the run produced.
func (w *workerBuffers) collectWhole(it *pipeline.Item) error {
	for o := range w.plan.outputs {
		p, err := w.read(o)
		if err != nil {
			return fmt.Errorf("output %q: %w", w.plan.outputs[o].name, err)
		}
		it.BatchRows, it.Device = w.rows, w.session.device.name
		out := &it.Res.Outputs[o]
		if axis := w.plan.outputs[o].axis; axis >= 0 {
			if rows := p.rows(axis); rows != int64(it.Req.Rows) {
				return fmt.Errorf("output %q has %d rows for %d: %w", out.Name, rows, it.Req.Rows, ErrRows)
			}
		}
		p.whole(out)
	}
	return nil
}

// collectRows gives each item its rows of the n rows that the run was given;
// rows n..padded are padding.
func (w *workerBuffers) collectRows(items []*pipeline.Item, start, n, padded int) error {
	for o := range w.plan.outputs {
		op := &w.plan.outputs[o]
		p, err := w.read(o)
		if err != nil {
			return fmt.Errorf("output %q: %w", op.name, err)
		}
		if op.axis == 0 {
			if rows := p.rows(0); rows != int64(padded) {
				return fmt.Errorf("output %q has %d rows for %d: %w", op.name, rows, padded, ErrRows)
			}
		}
		at := 0
		each(items, start, n, func(it *pipeline.Item, from, to int) {
			it.BatchRows, it.Device = w.rows, w.session.device.name
			out := &it.Res.Outputs[o]
			if op.axis == 0 {
				p.slice(out, at, at+to-from)
			} else if from == 0 {
				p.whole(out)
			}
			at += to - from
		})
	}
	return nil
}

func (p *produced) rows(axis int) int64 {
	if p.maps != nil {
		return int64(len(p.maps))
	}
	if axis >= len(p.shape) {
		return -1
	}
	return p.shape[axis]
}

// whole copies everything.
func (p *produced) whole(out *schemas.Output) {
	out.Shape = append(out.Shape[:0], p.shape...)
	out.Maps = p.maps
	out.Strings = append(out.Strings[:0], p.strings...)
	n, _ := schemas.Elements(p.shape)
	if size := n * int64(out.Type.Size()); size <= int64(len(p.data)) {
		out.Data = append(out.Data[:0], p.data[:size]...)
	}
}

// slice appends rows from..to, counted along axis 0.
func (p *produced) slice(out *schemas.Output, from, to int) {
	if p.maps != nil {
		out.Maps = append(out.Maps, p.maps[from:to]...)
		return
	}
	if len(out.Shape) == 0 {
		out.Shape = append(out.Shape, p.shape...)
		out.Shape[0] = 0
	}
	out.Shape[0] += int64(to - from)
	per := 1
	for _, d := range p.shape[1:] {
		per *= int(d)
	}
	if out.Type == schemas.Bytes {
		out.Strings = append(out.Strings, p.strings[from*per:to*per]...)
		return
	}
	per *= out.Type.Size()
	out.Data = append(out.Data, p.data[from*per:to*per]...)
}

func setStrings(v ort.Value, strings []string) error {
	if s, ok := v.(*ort.StringTensor); ok {
		return s.SetContents(strings)
	}
	return nil
}

// readMaps copies a sequence of maps, one for each row.
func readMaps(seq *ort.Sequence) ([]schemas.Map, error) {
	values, err := seq.GetValues()
	if err != nil {
		return nil, err
	}
	maps := make([]schemas.Map, len(values))
	for i, v := range values {
		m, ok := v.(*ort.Map)
		if !ok {
			return nil, fmt.Errorf("element %d of the sequence is a %T, not a map", i, v)
		}
		keys, vals, err := m.GetKeysAndValues()
		if err != nil {
			return nil, err
		}
		if maps[i].Keys, err = copyTensor(keys); err != nil {
			return nil, err
		}
		if maps[i].Values, err = copyTensor(vals); err != nil {
			return nil, err
		}
	}
	return maps, nil
}

func copyTensor(v ort.Value) (schemas.Tensor, error) {
	t := schemas.Tensor{Shape: v.GetShape()}
	if s, ok := v.(*ort.StringTensor); ok {
		strings, err := valueStrings(s)
		t.Type, t.Strings = schemas.Bytes, strings
		return t, err
	}
	data, err := valueBytes(v)
	t.Type, _ = dataType(ort.TensorElementDataType(v.DataType()))
	t.Data = append([]byte(nil), data...)
	return t, err
}
