package schemas

import "slices"

// fit lays n elements that came nested as dims out as want, where -1 may be
// anything: either the nesting is that shape, or it is flat (or one scalar) and
// the number of elements leaves no choice.
func fit(dst, want, dims []int64, n int64) (shape []int64, ok bool) {
	if matches(want, dims) {
		return append(dst, dims...), true
	}
	if len(dims) > 1 {
		return dst, false
	}
	known, open := int64(1), 0
	for _, d := range want {
		if d < 0 {
			open++
			continue
		}
		known *= d
	}
	inferred := int64(0)
	switch {
	case open == 0 && n == known:
	case open == 1 && len(dims) == 1 && known > 0 && n%known == 0:
		inferred = n / known
	default:
		return dst, false
	}
	for _, d := range want {
		if d < 0 {
			d = inferred
		}
		dst = append(dst, d)
	}
	return dst, true
}

// matches tells whether dims is an instance of want.
func matches(want, dims []int64) bool {
	if len(want) != len(dims) {
		return false
	}
	for i, w := range want {
		if w >= 0 && w != dims[i] {
			return false
		}
	}
	return true
}

// layout is how one input's values lie in a payload.
type layout struct {
	spec  *TensorSpec
	rest  []int64 // the shape of one row: without the batch axis
	whole []int64 // the shape with the batch axis
	many  bool    // the first dimension is rows
	alone bool    // the model runs each item by itself
}

func newLayout(spec *TensorSpec, sig *Signature, many bool) layout {
	l := layout{spec: spec, whole: slices.Clone(spec.Shape), many: many, alone: sig.Alone}
	if a := spec.BatchAxis; a >= 0 {
		l.rest = slices.Delete(slices.Clone(spec.Shape), a, a+1)
		if !sig.Alone || sig.FixedRows > 0 {
			l.whole[a] = -1 // the batch is padded or grows
		}
	}
	return l
}

// elements is how many elements one payload must hold; fixed is false when the
// payload decides.
func (l *layout) elements() (n int64, fixed bool) {
	switch {
	case l.spec.BatchAxis < 0:
		return Elements(l.spec.Shape)
	case l.many:
		return 0, false
	case l.takesWhole():
		return Elements(l.whole)
	}
	return Elements(l.rest)
}

// takesWhole tells whether a payload may state the batch dimension although it
// is one row: where rows are not simply the first axis of a growing batch.
func (l *layout) takesWhole() bool { return l.alone || l.spec.BatchAxis > 0 }

// place gives the shape that n elements, nested as dims, have for the model,
// batch dimension included. rows is -1 for an input without a batch axis;
// single says that the payload left the batch dimension out.
func (l *layout) place(dst, dims []int64, n int64) (shape []int64, rows int64, single, ok bool) {
	axis := l.spec.BatchAxis
	if axis < 0 {
		shape, ok = fit(dst, l.spec.Shape, dims, n)
		return shape, -1, false, ok
	}
	if l.many && axis == 0 {
		if len(dims) == 0 || dims[0] == 0 {
			return dst, 0, false, false
		}
		rows = dims[0]
		shape, ok = fit(append(dst, rows), l.rest, dims[1:], n/rows)
		return shape, rows, false, ok
	}
	if (l.many || l.takesWhole()) && matches(l.whole, dims) {
		return append(dst, dims...), dims[axis], false, dims[axis] > 0
	}
	if l.many || l.whole[axis] > 1 {
		return dst, 0, false, false
	}
	if shape, ok = fit(dst, l.rest, dims, n); ok {
		shape = slices.Insert(shape, axis, 1)
	}
	return shape, 1, true, ok
}

// stated checks a shape that the payload states in full.
func (l *layout) stated(shape []int64) (rows int64, ok bool) {
	if !matches(l.whole, shape) {
		return 0, false
	}
	if l.spec.BatchAxis < 0 {
		return -1, true
	}
	rows = shape[l.spec.BatchAxis]
	return rows, rows > 0
}
