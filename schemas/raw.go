package schemas

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// decodeRaw lends the value's bytes to the tensor: rows are copied once, into the
// model's memory.
func (c *Codec) decodeRaw(d *decoder) *Error {
	if len(c.inputs) != 1 {
		return validateError(WrongName, "raw carries one input, the model has %d", len(c.inputs))
	}
	p := &c.inputs[0]
	shape := p.rest
	if p.spec.BatchAxis < 0 {
		shape = p.spec.Shape
	}
	row, fixed := Elements(shape)
	if !fixed || row == 0 {
		return validateError(WrongShape, "raw needs fixed dimensions, the model takes %s", p.want())
	}
	t := &d.req.Inputs[0]
	var n int64
	var err *Error
	if t.Type == Bytes {
		n, err = d.rawStrings(t)
	} else {
		n, err = d.rawData(t)
	}
	if err != nil {
		return err
	}
	if err := d.rawShape(p, t, n, row); err != nil {
		return err
	}
	d.req.ID = appendRecordID(d.req.ID, d.rec)
	return nil
}

// rawShape gives n elements their shape: one row, or whole rows where the codec
// takes many.
func (d *decoder) rawShape(p *inputPlan, t *Tensor, n, row int64) *Error {
	axis := p.spec.BatchAxis
	t.Shape = append(t.Shape[:0], p.spec.Shape...)
	rows := n / row
	if n%row != 0 || rows == 0 || (rows > 1 && (!p.many || axis != 0)) {
		return validateError(WrongShape, "the value has %d elements, the model takes %d a row", n, row)
	}
	if axis < 0 {
		return nil
	}
	if p.alone && p.whole[axis] >= 0 && rows != p.whole[axis] {
		return validateError(WrongShape, "the value has %d rows, the model takes %d", rows, p.whole[axis])
	}
	t.Shape[axis] = rows
	return d.addRows("the value", rows, !p.many)
}

func (d *decoder) rawData(t *Tensor) (n int64, err *Error) {
	size := t.Type.Size()
	n = int64(len(d.b) / size)
	if len(d.b)%size != 0 {
		return 0, validateError(WrongShape, "the value has %d bytes, no whole number of %s elements", len(d.b), t.Type)
	}
	if n > d.most(t.Type) {
		return 0, decodeError(TooLarge, "the value has %d elements, above the limit of %d", n, d.most(t.Type))
	}
	if t.Type == Bool {
		for i, v := range d.b {
			if v > 1 {
				return 0, validateError(WrongType, "element %d is no BOOL: want the byte 0 or 1", i)
			}
		}
	}
	t.Data, d.req.Lent = d.b[:len(d.b):len(d.b)], true
	return n, nil
}

func (d *decoder) rawStrings(t *Tensor) (n int64, err *Error) {
	t.Strings, t.Data = t.Strings[:0], t.Data[:0]
	left := d.left
	for b := d.b; len(b) > 0; n++ {
		if len(b) < 4 || uint64(binary.LittleEndian.Uint32(b)) > uint64(len(b)-4) {
			return 0, decodeError(Undecodable, "BYTES element %d is longer than the value", n)
		}
		size := int(binary.LittleEndian.Uint32(b))
		if left -= int64(size) + stringOverhead; left < 0 || n == d.c.cfg.Limits.Elements {
			return 0, decodeError(TooLarge, "the value has more strings than the limits allow")
		}
		t.Strings = append(t.Strings, d.strings.intern(b[4:4+size]))
		b = b[4+size:]
	}
	return n, nil
}

// planRaw finds the output that raw writes.
func (c *Codec) planRaw() error {
	outputs := c.cfg.Signature.Outputs
	writes := c.cfg.OutputName == CodecRaw || (c.cfg.OutputName == "" && c.cfg.Name == CodecRaw)
	switch {
	case c.cfg.RawOutput != "":
		c.raw = slices.IndexFunc(outputs, func(s TensorSpec) bool { return s.Name == c.cfg.RawOutput })
		if c.raw < 0 {
			return fmt.Errorf("output.raw is %q, which the model does not have: it has %s", c.cfg.RawOutput, namesOf(outputs))
		}
	case len(outputs) == 1:
		c.raw = 0
	case writes:
		return fmt.Errorf("raw writes one output, the model has %s: name one in output.raw", namesOf(outputs))
	}
	if writes && outputs[c.raw].Sequence {
		return errors.New("raw cannot write maps: name another output in output.raw")
	}
	return nil
}

// encodeRaw appends the bytes of one output. Non-finite numbers are held to the
// same rule as in JSON.
func (c *Codec) encodeRaw(dst []byte, res *Result) ([]byte, *Error) {
	if c.raw < 0 {
		return dst, encodeError(EncodeFailed, "raw writes one output: name one in output.raw")
	}
	o := findOutput(res, c.cfg.Signature.Outputs[c.raw].Name)
	if o == nil || o.Maps != nil {
		return dst, encodeError(EncodeFailed, "the result has no tensor %q for raw", c.cfg.Signature.Outputs[c.raw].Name)
	}
	if _, err := c.checked(o); err != nil {
		return dst, err
	}
	if o.Type == Bytes {
		for _, s := range o.Strings {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(len(s)))
			dst = append(dst, s...)
		}
		return dst, nil
	}
	if o.Type.isFloat() && c.cfg.NonFinite != Pass {
		for k := range len(o.Data) / o.Type.Size() {
			if !finite(o.float(k)) {
				return dst, nonFiniteError(o.Name)
			}
		}
	}
	return append(dst, o.Data...), nil
}

// findOutput returns the output called name, nil when there is none.
func findOutput(res *Result, name string) *Output {
	for i := range res.Outputs {
		if res.Outputs[i].Name == name {
			return &res.Outputs[i]
		}
	}
	return nil
}
