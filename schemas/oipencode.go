package schemas

import "strconv"

// encodeOIP appends an Open Inference Protocol v2 response. Shapes include the
// batch dimension, data is flat. A map has no form in the protocol: it becomes a
// BYTES element with the map as JSON text, one a row.
func (c *Codec) encodeOIP(dst []byte, req *Request, res *Result) ([]byte, *Error) {
	dst = append(dst, c.oipModel...)
	dst = appendOIPID(dst, req.ID)
	dst = append(dst, `,"outputs":[`...)
	for k := range outputCount(req, res) {
		o, err := chosen(req, res, k)
		if err != nil {
			return dst, err
		}
		if k > 0 {
			dst = append(dst, ',')
		}
		if o.Maps != nil {
			dst, err = c.appendOIPMaps(dst, o)
		} else {
			dst, err = c.appendOIPTensor(dst, o)
		}
		if err != nil {
			return dst, err
		}
	}
	return append(dst, `]}`...), nil
}

// appendOIPID appends an id token; the protocol's ids are strings.
func appendOIPID(dst, id []byte) []byte {
	if len(id) > 0 && id[0] == '"' {
		return append(dst, id...)
	}
	dst = append(append(dst, '"'), id...)
	return append(dst, '"')
}

func appendOIPHead(dst []byte, name string, t DataType, shape []int64) []byte {
	dst = append(dst, `{"name":`...)
	dst = appendQuoted(dst, name)
	dst = append(dst, `,"datatype":"`...)
	dst = append(dst, t.String()...)
	dst = append(dst, `","shape":[`...)
	for i, n := range shape {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(dst, n, 10)
	}
	return append(dst, `],"data":[`...)
}

func (c *Codec) appendOIPTensor(dst []byte, o *Output) ([]byte, *Error) {
	n, err := c.checked(o)
	if err != nil {
		return dst, err
	}
	if o.Type == FP16 || o.Type == BF16 {
		return dst, encodeError(EncodeFailed, "output %q is %s, which oip-json cannot carry: set output.codec to raw or json", o.Name, o.Type)
	}
	dst = appendOIPHead(dst, o.Name, o.Type, o.Shape)
	w := arrayWriter{dst: dst, t: &o.Tensor, pass: c.cfg.NonFinite == Pass}
	if !w.elements(int64(n)) {
		return dst, nonFiniteError(o.Name)
	}
	return append(w.dst, `]}`...), nil
}

func (c *Codec) appendOIPMaps(dst []byte, o *Output) ([]byte, *Error) {
	dst = appendOIPHead(dst, o.Name, Bytes, []int64{int64(len(o.Maps))})
	var text []byte
	for i := range o.Maps {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err *Error
		if text, err = c.appendMap(text[:0], o, &o.Maps[i]); err != nil {
			return dst, err
		}
		dst = appendQuoted(dst, view(text))
	}
	return append(dst, `]}`...), nil
}
