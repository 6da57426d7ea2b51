package schemas

import "slices"

// oipInput reads one entry of inputs at i. Data is read in the same pass where
// name, datatype and shape stand before it, as clients write them; else it is
// passed over and read at the end.
func (d *decoder) oipInput(i int) int {
	d.oip = oipTensor{input: -1, data: -1, shape: d.oip.shape[:0]}
	i, done := d.enterBracket(i)
	for !done {
		text, from, to, value := d.name(i)
		if value < 0 {
			return value
		}
		if i, done = d.next(d.oipInputField(text[from:to], value), '}'); i < 0 {
			return i
		}
	}
	if d.oip.parsed {
		return i
	}
	if d.oip.data < 0 {
		return d.wrong(WrongName, "an input has no data")
	}
	if end := d.oipData(d.oip.data); end < 0 {
		return end
	}
	return i
}

func (d *decoder) oipInputField(name []byte, i int) int {
	o := &d.oip
	switch string(name) {
	case "name":
		if o.input >= 0 {
			return d.twice("name")
		}
		return d.oipName(i)
	case "datatype":
		if o.typ != InvalidType {
			return d.twice("datatype")
		}
		return d.oipType(i)
	case "shape":
		if o.sized {
			return d.twice("shape")
		}
		return d.oipShape(i)
	case "data":
		if o.data >= 0 {
			return d.twice("data")
		}
		o.data = i
		if o.input >= 0 && o.typ != InvalidType && o.sized {
			return d.oipData(i)
		}
	}
	return d.pass(i, d.c.cfg.Limits.Depth-3)
}

func (d *decoder) oipName(i int) int {
	name, end := d.stringAt("an input's name", i)
	if end < 0 {
		return end
	}
	for k := range d.c.inputs {
		if d.c.inputs[k].spec.Name != string(name) {
			continue
		}
		if d.whole[k] == d.round {
			return d.wrong(WrongName, "the request has input "+d.c.inputs[k].spec.Name+" twice")
		}
		d.oip.input = k
		return end
	}
	return d.wrong(WrongName, "the request has an input that the model does not have: it has "+namesOf(d.c.cfg.Signature.Inputs))
}

func (d *decoder) oipType(i int) int {
	name, end := d.stringAt("a datatype", i)
	if end < 0 {
		return end
	}
	for t := Bool; int(t) < len(dataTypes); t++ {
		if dataTypes[t].name == string(name) {
			d.oip.typ = t
			return end
		}
	}
	return d.wrong(WrongType, "the request has a datatype that the protocol does not have")
}

func (d *decoder) oipShape(i int) int {
	if at(d.b, i) != '[' {
		return d.wrong(WrongShape, "a shape is no array")
	}
	d.oip.sized = true
	i, done := d.enterBracket(i)
	for !done {
		if len(d.oip.shape) == d.c.cfg.Limits.Dimensions {
			return d.fail(decodeError(TooLarge, "a shape has more dimensions than the limit of %d", d.c.cfg.Limits.Dimensions))
		}
		n, end := d.whole64("a dimension", i)
		if end < 0 {
			if d.err != nil {
				d.err.Class = WrongShape
			}
			return end
		}
		d.oip.shape = append(d.oip.shape, n)
		if i, done = d.next(end, ']'); i < 0 {
			return i
		}
	}
	return i
}

// oipData reads the data at i once all about it is known.
func (d *decoder) oipData(i int) int {
	o := &d.oip
	if o.input < 0 || o.typ == InvalidType || !o.sized {
		return d.wrong(WrongName, "an input has no name, no datatype or no shape")
	}
	p := &d.c.inputs[o.input]
	n, rows, err := d.oipCheck(p)
	if err != nil {
		return d.fail(err)
	}
	t := &d.req.Inputs[o.input]
	d.budget = d.left
	d.start(t, p.spec.Name, n, true)
	end := d.value(i)
	if end < 0 {
		return end
	}
	if d.left -= int64(len(t.Data)); t.Type == Bytes {
		d.left = d.budget
	}
	if dims := d.dims[:d.rank]; d.n != n || (d.rank > 1 && !slices.Equal(dims, o.shape)) {
		return d.fail(validateError(WrongShape, "%s has %d elements as %v, its shape says %v", p.spec.Name, d.n, dims, o.shape))
	}
	if err := d.addRows(p.spec.Name, rows, false); err != nil {
		return d.fail(err)
	}
	t.Shape = append(t.Shape[:0], o.shape...)
	d.whole[o.input] = d.round
	o.parsed = true
	return end
}

// oipCheck holds the stated type and shape against the model and the limits.
func (d *decoder) oipCheck(p *inputPlan) (n, rows int64, err *Error) {
	o := &d.oip
	switch {
	case o.typ != p.spec.Type:
		return 0, 0, validateError(WrongType, "%s is %s, the model takes %s", p.spec.Name, o.typ, p.spec.Type)
	case o.typ == FP16 || o.typ == BF16:
		return 0, 0, validateError(WrongType, "%s is %s, which the protocol carries only raw", p.spec.Name, o.typ)
	}
	rows, ok := p.stated(o.shape)
	if !ok {
		return 0, 0, validateError(WrongShape, "%s has shape %v, the model takes %s", p.spec.Name, o.shape, dimsText(p.whole))
	}
	if n, ok = Elements(o.shape); !ok || n > d.most(o.typ) {
		return 0, 0, decodeError(TooLarge, "%s has shape %v, above the limit of %d elements", p.spec.Name, o.shape, d.most(o.typ))
	}
	return n, rows, nil
}
