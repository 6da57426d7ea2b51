package onnx

import (
	"bytes"
	"slices"

	"github.com/sluice-ml/sluice/schemas"
)

// Rows of tensors along any axis: the probe's arithmetic, not the hot path's.

// split counts the elements before and after an axis.
func split(shape []int64, axis int) (outer, inner int64) {
	outer, inner = 1, 1
	for a, d := range shape {
		switch {
		case a < axis:
			outer *= d
		case a > axis:
			inner *= d
		}
	}
	return outer, inner
}

// joinRows puts tensors of one row each together along the axis; with axis -1
// the first one stands for all.
func joinRows(rows []schemas.Tensor, axis int) schemas.Tensor {
	first := rows[0]
	if axis < 0 {
		return first
	}
	joined := schemas.Tensor{Name: first.Name, Type: first.Type, Shape: slices.Clone(first.Shape)}
	joined.Shape[axis] = int64(len(rows))
	outer, inner := split(first.Shape, axis)
	width := inner * int64(first.Type.Size())
	for o := range outer {
		for i := range rows {
			if first.Type == schemas.Bytes {
				joined.Strings = append(joined.Strings, rows[i].Strings[o*inner:(o+1)*inner]...)
			} else {
				joined.Data = append(joined.Data, rows[i].Data[o*width:(o+1)*width]...)
			}
		}
	}
	return joined
}

// sameRow compares row i of x with row j of y, bit by bit, along the axis; with
// axis -1 it compares the whole.
func sameRow(x *schemas.Output, i int, y *schemas.Output, j, axis int) bool {
	if x.Maps != nil || y.Maps != nil {
		return sameMap(&x.Maps[i], &y.Maps[j])
	}
	if axis < 0 {
		return slices.Equal(x.Shape, y.Shape) && bytes.Equal(x.Data, y.Data) && slices.Equal(x.Strings, y.Strings)
	}
	outer, inner := split(x.Shape, axis)
	width := inner * int64(x.Type.Size())
	rows := x.Shape[axis]
	for o := range outer {
		p, q := o*rows+int64(i), o*rows+int64(j)
		if x.Type == schemas.Bytes {
			if !slices.Equal(x.Strings[p*inner:(p+1)*inner], y.Strings[q*inner:(q+1)*inner]) {
				return false
			}
		} else if !bytes.Equal(x.Data[p*width:(p+1)*width], y.Data[q*width:(q+1)*width]) {
			return false
		}
	}
	return true
}

func sameMap(x, y *schemas.Map) bool {
	return bytes.Equal(x.Keys.Data, y.Keys.Data) && slices.Equal(x.Keys.Strings, y.Keys.Strings) &&
		bytes.Equal(x.Values.Data, y.Values.Data) && slices.Equal(x.Values.Strings, y.Values.Strings)
}

// rowCount is how many rows an output has along the axis, -1 when it has no
// such axis.
func rowCount(o *schemas.Output, axis int) int64 {
	if o.Maps != nil {
		return int64(len(o.Maps))
	}
	if axis < 0 || axis >= len(o.Shape) {
		return -1
	}
	return o.Shape[axis]
}
