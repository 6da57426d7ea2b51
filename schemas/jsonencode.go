package schemas

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"
)

// encodeJSON appends the result of the codec json:
//
//	{"id":"a1","model":"fraud","version":"3","outputs":{"y":[0.25,0.75]},"label":"ok","include":{"customer":7}}
//
// Outputs keep the batch dimension unless the request left it out; one without
// rows goes whole. Maps become objects with their keys as text. label and
// include are there when they are configured.
func (c *Codec) encodeJSON(dst []byte, req *Request, res *Result) ([]byte, *Error) {
	dst = append(dst, `{"id":`...)
	dst = append(dst, req.ID...)
	dst = append(dst, c.jsonModel...)
	for k := range outputCount(req, res) {
		o, err := chosen(req, res, k)
		if err != nil {
			return dst, err
		}
		if k > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendQuoted(dst, o.Name), ':')
		if dst, err = c.appendOutput(dst, req, o); err != nil {
			return dst, err
		}
	}
	dst = append(dst, '}')
	if c.label >= 0 {
		var err *Error
		if dst, err = c.appendLabel(append(dst, `,"label":`...), req, res); err != nil {
			return dst, err
		}
	}
	if len(req.Include) > 0 {
		dst = append(append(dst, `,"include":`...), req.Include...)
	}
	return append(dst, '}'), nil
}

// outputCount is how many outputs the request wants, chosen which is number k.
func outputCount(req *Request, res *Result) int {
	if len(req.Outputs) > 0 {
		return len(req.Outputs)
	}
	return len(res.Outputs)
}

func chosen(req *Request, res *Result, k int) (*Output, *Error) {
	if len(req.Outputs) == 0 {
		return &res.Outputs[k], nil
	}
	if o := findOutput(res, req.Outputs[k]); o != nil {
		return o, nil
	}
	return nil, encodeError(EncodeFailed, "the model gave no output %q", req.Outputs[k])
}

func nonFiniteError(name string) *Error {
	return encodeError(NonFinite, "output %q holds NaN or an infinity: set model.non_finite to pass to let it through", name)
}

// checked tells how many elements an output has, and refuses one whose shape and
// data disagree.
func (c *Codec) checked(o *Output) (n int, err *Error) {
	want, ok := Elements(o.Shape)
	have := int64(len(o.Strings))
	if size := o.Type.Size(); size > 0 {
		have = int64(len(o.Data) / size)
	}
	if !ok || want != have || o.Type == InvalidType {
		return 0, encodeError(EncodeFailed, "output %q has shape %v but %d elements of type %s", o.Name, o.Shape, have, o.Type)
	}
	return int(want), nil
}

// batchAxis is where an output has its rows.
func (c *Codec) batchAxis(o *Output) int {
	for i := range c.cfg.Signature.Outputs {
		if s := &c.cfg.Signature.Outputs[i]; s.Name == o.Name && s.BatchAxis > 0 {
			return s.BatchAxis
		}
	}
	return 0
}

// appendOutput appends one output's value.
func (c *Codec) appendOutput(dst []byte, req *Request, o *Output) ([]byte, *Error) {
	if o.Maps != nil {
		return c.appendMaps(dst, req, o)
	}
	if _, err := c.checked(o); err != nil {
		return dst, err
	}
	var room [8]int64
	shape := append(room[:0], o.Shape...)
	if axis := c.batchAxis(o); req.Single && o.HasRows && axis < len(shape) && shape[axis] == 1 {
		shape = slices.Delete(shape, axis, axis+1)
	}
	w := arrayWriter{dst: dst, t: &o.Tensor, pass: c.cfg.NonFinite == Pass}
	if !w.array(shape) {
		return dst, nonFiniteError(o.Name)
	}
	return w.dst, nil
}

// arrayWriter appends a tensor as a nested array.
type arrayWriter struct {
	dst  []byte
	t    *Tensor
	next int // element
	pass bool
}

// array appends the next elements as an array of this shape; false when one is
// not finite.
func (w *arrayWriter) array(shape []int64) (ok bool) {
	if len(shape) == 0 {
		w.dst, ok = appendElement(w.dst, w.t, w.next, w.pass)
		w.next++
		return ok
	}
	w.dst = append(w.dst, '[')
	if len(shape) == 1 {
		ok = w.elements(shape[0])
		w.dst = append(w.dst, ']')
		return ok
	}
	for i := range shape[0] {
		if i > 0 {
			w.dst = append(w.dst, ',')
		}
		if !w.array(shape[1:]) {
			return false
		}
	}
	w.dst = append(w.dst, ']')
	return true
}

// elements appends the next n elements with commas between them.
func (w *arrayWriter) elements(n int64) (ok bool) {
	if w.t.Type == FP32 {
		return w.floats(n)
	}
	for i := range n {
		if i > 0 {
			w.dst = append(w.dst, ',')
		}
		if w.dst, ok = appendElement(w.dst, w.t, w.next, w.pass); !ok {
			return false
		}
		w.next++
	}
	return true
}

// floats is elements for the type of nearly all outputs.
func (w *arrayWriter) floats(n int64) (ok bool) {
	for i := range n {
		if i > 0 {
			w.dst = append(w.dst, ',')
		}
		f := math.Float32frombits(binary.LittleEndian.Uint32(w.t.Data[4*w.next:]))
		switch {
		case f-f == 0:
			w.dst = appendFloat32(w.dst, f)
		case !w.pass:
			return false
		default:
			w.dst = appendNonFinite(w.dst, float64(f))
		}
		w.next++
	}
	return true
}

// appendMaps appends one object per row, alone when the request is a single row.
func (c *Codec) appendMaps(dst []byte, req *Request, o *Output) ([]byte, *Error) {
	alone := req.Single && o.HasRows && len(o.Maps) == 1
	if !alone {
		dst = append(dst, '[')
	}
	for i := range o.Maps {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err *Error
		if dst, err = c.appendMap(dst, o, &o.Maps[i]); err != nil {
			return dst, err
		}
	}
	if !alone {
		dst = append(dst, ']')
	}
	return dst, nil
}

func (c *Codec) appendMap(dst []byte, o *Output, m *Map) ([]byte, *Error) {
	n, err := c.checked(&Output{Tensor: m.Keys})
	if err != nil {
		return dst, err
	}
	if values, err := c.checked(&Output{Tensor: m.Values}); err != nil || values != n {
		return dst, encodeError(EncodeFailed, "output %q has a map of %d keys with other values", o.Name, n)
	}
	dst = append(dst, '{')
	for k := range n {
		if k > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendKey(dst, &m.Keys, k), ':')
		var ok bool
		if dst, ok = appendElement(dst, &m.Values, k, c.cfg.NonFinite == Pass); !ok {
			return dst, nonFiniteError(o.Name)
		}
	}
	return append(dst, '}'), nil
}

// appendKey appends a map's key as a JSON string.
func appendKey(dst []byte, keys *Tensor, k int) []byte {
	if keys.Type == Bytes {
		return appendQuoted(dst, keys.Strings[k])
	}
	dst = strconv.AppendInt(append(dst, '"'), int64(keys.integer(k)), 10)
	return append(dst, '"')
}
