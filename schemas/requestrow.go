package schemas

// AppendJSONRow appends a message of the codec json with one input, for
// publishers and tests: {"id":"a1","x":[0.5,1]}. An empty id is left out. The
// values must be finite.
func AppendJSONRow(dst []byte, id, name string, values []float32) []byte {
	dst = append(dst, '{')
	if id != "" {
		dst = append(dst, `"id":`...)
		dst = append(appendQuoted(dst, id), ',')
	}
	dst = append(appendQuoted(dst, name), ':', '[')
	for i, v := range values {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendFloat32(dst, v)
	}
	return append(dst, ']', '}')
}

// AppendOIPRequest appends an Open Inference Protocol v2 request, for publishers
// and tests. FP16 and BF16 have no form in it: it returns dst and false then.
func AppendOIPRequest(dst []byte, id string, inputs []Tensor) (out []byte, ok bool) {
	start := len(dst)
	dst = append(dst, `{"id":`...)
	dst = appendQuoted(dst, id)
	dst = append(dst, `,"inputs":[`...)
	for i := range inputs {
		t := &inputs[i]
		n, whole := Elements(t.Shape)
		if t.Type == FP16 || t.Type == BF16 || !whole {
			return dst[:start], false
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendOIPHead(dst, t.Name, t.Type, t.Shape)
		w := arrayWriter{dst: dst, t: t, pass: true}
		w.elements(n)
		dst = w.dst
		dst = append(dst, ']', '}')
	}
	return append(dst, ']', '}'), true
}
