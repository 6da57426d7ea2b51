package schemas

import (
	"fmt"
	"slices"
	"strconv"
)

// planLabel finds the output that labels.
func (c *Codec) planLabel() error {
	outputs := c.cfg.Signature.Outputs
	if name := c.cfg.LabelOutput; name != "" {
		c.label = slices.IndexFunc(outputs, func(s TensorSpec) bool { return s.Name == name })
		if c.label < 0 {
			return fmt.Errorf("labels take the output %q, which the model does not have: it has %s", name, namesOf(outputs))
		}
		return nil
	}
	if len(c.cfg.Labels) == 0 {
		return nil
	}
	want := int64(len(c.cfg.Labels))
	perRow := func(s TensorSpec, n int64) bool {
		have, fixed := Elements(c.rowShape(&s))
		return fixed && have == n && s.Type != Bytes && !s.Sequence
	}
	c.label = slices.IndexFunc(outputs, func(s TensorSpec) bool { return perRow(s, want) && want > 1 })
	if c.label < 0 {
		c.label = slices.IndexFunc(outputs, func(s TensorSpec) bool { return perRow(s, 1) && !s.Type.isFloat() })
	}
	if c.label < 0 {
		return fmt.Errorf("there are %d labels, but no output has that many elements a row: name the output that labels", want)
	}
	return nil
}

// appendLabel appends the label of each row: alone for a single row, else a list.
func (c *Codec) appendLabel(dst []byte, req *Request, res *Result) ([]byte, *Error) {
	o := findOutput(res, c.cfg.Signature.Outputs[c.label].Name)
	if o == nil {
		return dst, encodeError(EncodeFailed, "the model gave no output %q for the label", c.cfg.Signature.Outputs[c.label].Name)
	}
	n := 0
	if o.Maps == nil {
		var err *Error
		if n, err = c.checked(o); err != nil {
			return dst, err
		}
	}
	rows := 1
	if o.HasRows {
		rows = max(req.Rows, 1)
	}
	if (o.Maps != nil && len(o.Maps) != rows) || (o.Maps == nil && (n == 0 || n%rows != 0)) {
		return dst, encodeError(EncodeFailed, "output %q does not hold one label for each of %d rows", o.Name, rows)
	}
	list := !req.Single && o.HasRows
	if list {
		dst = append(dst, '[')
	}
	for r := range rows {
		if r > 0 {
			dst = append(dst, ',')
		}
		var err *Error
		if dst, err = c.appendRowLabel(dst, o, r, n/rows); err != nil {
			return dst, err
		}
	}
	if list {
		dst = append(dst, ']')
	}
	return dst, nil
}

// appendRowLabel appends the label of row r, which has n elements.
func (c *Codec) appendRowLabel(dst []byte, o *Output, r, n int) ([]byte, *Error) {
	if o.Maps != nil {
		m := &o.Maps[r]
		count, err := c.checked(&Output{Tensor: m.Values})
		if err != nil || count == 0 || int64(count) != int64(max(len(m.Keys.Strings), len(m.Keys.Data)/8)) {
			return dst, encodeError(EncodeFailed, "output %q has an empty or broken map", o.Name)
		}
		best := argmax(&m.Values, 0, count)
		if m.Keys.Type == Bytes {
			return appendKey(dst, &m.Keys, best), nil
		}
		return c.appendClass(dst, o, int64(m.Keys.integer(best)))
	}
	switch {
	case o.Type == Bytes:
		return appendQuoted(dst, o.Strings[r*n]), nil
	case n == 1 && !o.Type.isFloat():
		return c.appendClass(dst, o, int64(o.integer(r)))
	}
	return c.appendClass(dst, o, int64(argmax(&o.Tensor, r*n, n)))
}

// appendClass appends the name of a class, or its index where there are no names.
func (c *Codec) appendClass(dst []byte, o *Output, class int64) ([]byte, *Error) {
	if len(c.cfg.Labels) == 0 {
		return strconv.AppendInt(dst, class, 10), nil
	}
	if class < 0 || class >= int64(len(c.cfg.Labels)) {
		return dst, encodeError(EncodeFailed, "output %q is class %d, there are %d labels", o.Name, class, len(c.cfg.Labels))
	}
	return appendQuoted(dst, c.cfg.Labels[class]), nil
}

// argmax is the place, from first on, of the largest of n elements; ties go to
// the first, NaN never wins.
func argmax(t *Tensor, first, n int) int {
	best, found := 0, false
	for k := range n {
		if t.Type.isFloat() && t.float(first+k) != t.float(first+k) {
			continue
		}
		if !found || less(t, first+best, first+k) {
			best, found = k, true
		}
	}
	return best
}

// less compares two elements of a tensor.
func less(t *Tensor, a, b int) bool {
	switch {
	case t.Type == Bytes:
		return t.Strings[a] < t.Strings[b]
	case t.Type.isFloat():
		return t.float(a) < t.float(b)
	case t.Type.isUnsigned():
		return t.integer(a) < t.integer(b)
	}
	return int64(t.integer(a)) < int64(t.integer(b))
}
