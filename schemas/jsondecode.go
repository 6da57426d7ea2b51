package schemas

import (
	"math"
	"slices"
	"strconv"
	"unsafe"
)

// decodeJSON reads one document of the codec json in one pass.
func (c *Codec) decodeJSON(d *decoder) *Error {
	c.fill(d)
	if !c.marked || !d.walkMarks(c.doc) {
		if c.marked { // nothing of the first walk holds
			d.begin(d.rec, d.req)
			c.fill(d)
		}
		if err := d.walk(c.doc); err != nil {
			return err
		}
	}
	for i := range c.inputs {
		if err := d.complete(i); err != nil {
			return err
		}
	}
	if d.id[1] > 0 {
		d.req.ID = appendToken(d.req.ID, d.b[d.id[0]:d.id[1]])
	} else {
		d.req.ID = appendRecordID(d.req.ID, d.rec)
	}
	d.include()
	return nil
}

// fill gives the inputs that are gathered from fields their defaults.
func (c *Codec) fill(d *decoder) {
	for i := range c.inputs {
		if p := &c.inputs[i]; len(p.fields) > 0 {
			t := &d.req.Inputs[i]
			t.Shape = append(t.Shape[:0], p.template.Shape...)
			t.Data = append(t.Data[:0], p.template.Data...)
			t.Strings = append(t.Strings[:0], p.template.Strings...)
		}
	}
}

// walk visits the whole document along the nodes.
func (d *decoder) walk(root *node) *Error {
	i := d.visit(root, space(d.b, 0), d.c.cfg.Limits.Depth)
	if i >= 0 && space(d.b, i) != len(d.b) {
		i = badSyntax
	}
	if i < 0 {
		return d.fault(i)
	}
	return nil
}

// visit uses the value at i as the node says and returns the index behind it.
func (d *decoder) visit(n *node, i, depth int) int {
	if d.marks[n.id] == d.round {
		return d.twice(n.path)
	}
	d.marks[n.id] = d.round
	if n.plain {
		if end := d.plainFloat(n, i); end > 0 {
			return end
		}
	}
	end := badSyntax
	for k := range n.uses {
		if end = d.use(&n.uses[k], n, i, depth); end < 0 {
			return end
		}
	}
	switch c := at(d.b, i); {
	case len(n.kids) > 0 && c == '{':
		return d.object(n, i, depth)
	case len(n.kids) > 0 && c == '[':
		return d.array(n, i, depth)
	case len(n.uses) > 0:
		return end
	}
	return d.skip.value(d.b, i, depth)
}

// object visits the fields that pointers lead to and passes over the others.
func (d *decoder) object(n *node, i, depth int) int {
	if depth == 0 {
		return tooDeep
	}
	i, done := d.enterBracket(i)
	for !done {
		kid, value := d.member(n, i)
		if value < 0 {
			return value
		}
		if kid != nil {
			i = d.visit(kid, value, depth-1)
		} else {
			i = d.pass(value, depth-1)
		}
		if uint(i) < uint(len(d.b)) && d.b[i] == ',' { // next, for the usual case
			i = space(d.b, i+1)
			continue
		}
		i, done = d.next(i, '}')
	}
	return i
}

// member reads the field name at i: the kid it leads to, nil when nobody reads it,
// and the index of its value. Plain names of up to 16 bytes take two words.
func (d *decoder) member(n *node, i int) (kid *node, value int) {
	b := d.b
	if i+20 <= len(b) && b[i] == '"' {
		key := fieldKey{first: load(b, i+1)}
		odd := key.first
		if stops := stringStops(key.first); stops != 0 {
			name := below(stops >> 7)
			key.size = ones(name)
			key.first &= name
			odd = key.first
		} else {
			word := load(b, i+9)
			name := below(stringStops(word) >> 7)
			key.size = 8 + ones(name)
			key.last = load(b, i+1+key.size-8)
			odd |= word & name
		}
		end := i + 1 + key.size
		if b[end] == '"' && b[end+1] == ':' && odd&highBits == 0 {
			return n.names.find(key), space(b, end+2)
		}
	}
	text, from, to, value := d.name(i)
	if value < 0 {
		return nil, value
	}
	return n.find(text, from, to), value
}

// plainFloat is field for a short number that is one element of a float32 input;
// 0 when field must look at it.
func (d *decoder) plainFloat(n *node, i int) int {
	if i+fastSpan > len(d.b) {
		return 0
	}
	p := unsafe.Pointer(unsafe.SliceData(d.b))
	j, sign := i, uint32(0)
	if byteAt(p, j) == '-' {
		sign = 1 << 31
		j++
	}
	end, f := decimal(p, j)
	if end == 0 || nearTie(f) {
		return 0
	}
	if c := byteAt(p, end); c != ',' && c != '}' {
		return 0
	}
	d.putPlain(n, math.Float32bits(float32(f))|sign)
	return end
}

// putPlain stores the one element of a float32 input that n, which is plain, leads to.
func (d *decoder) putPlain(n *node, bits uint32) {
	u := &n.uses[0]
	put32(unsafe.Pointer(unsafe.SliceData(d.req.Inputs[u.input].Data)), u.element, bits)
	d.filled[n.mark] = d.round
	d.got[u.input] += n.required
}

// array is object for pointers with an index in them.
func (d *decoder) array(n *node, i, depth int) int {
	if depth == 0 {
		return tooDeep
	}
	i, done := d.enterBracket(i)
	for k := int64(0); !done; k++ {
		d.index = strconv.AppendInt(d.index[:0], k, 10)
		if kid := n.find(d.index, 0, len(d.index)); kid != nil {
			i = d.visit(kid, i, depth-1)
		} else {
			i = d.pass(i, depth-1)
		}
		i, done = d.next(i, ']')
	}
	return i
}

// pass goes over a value that nobody reads.
func (d *decoder) pass(i, depth int) int {
	if c := at(d.b, i); c != '{' && c != '[' {
		return skipScalar(d.b, i)
	}
	return d.skip.value(d.b, i, depth)
}

// use does one thing with the value at i.
func (d *decoder) use(u *use, n *node, i, depth int) int {
	switch u.kind {
	case useInput:
		return d.input(u.input, n.path, i)
	case useElement:
		return d.field(u, i)
	case useSpan:
		end := d.pass(i, depth)
		d.spans[u.span] = [2]int{i, end}
		return end
	default:
		return d.readID(n.path, i)
	}
}

// readID notes where the id's token is. Null is no id.
func (d *decoder) readID(path string, i int) int {
	switch at(d.b, i) {
	case '{', '[':
		return d.fail(validateError(WrongType, "%s is no string and no number, so it cannot be the id", path))
	case 'n':
		return skipLiteral(d.b, i)
	}
	end := skipScalar(d.b, i)
	d.id = [2]int{i, end}
	return end
}

// input reads a whole input at i.
func (d *decoder) input(k int, path string, i int) int {
	if at(d.b, i) == 'n' { // null is a missing field
		return skipLiteral(d.b, i)
	}
	p := &d.c.inputs[k]
	t := &d.req.Inputs[k]
	most := p.most
	if !p.fixed {
		most = d.most(t.Type)
	}
	d.budget = d.left
	d.start(t, path, most, p.fixed)
	if i = d.value(i); i < 0 {
		return i
	}
	if d.left -= int64(len(t.Data)); t.Type == Bytes {
		d.left = d.budget
	}
	shape, rows, single, ok := p.place(t.Shape[:0], d.dims[:d.rank], d.n)
	if t.Shape = shape; !ok {
		return d.fail(validateError(WrongShape, "%s has %d elements as %v, the model takes %s", path, d.n, d.dims[:d.rank], p.want()))
	}
	if err := d.addRows(path, rows, single); err != nil {
		return d.fail(err)
	}
	d.whole[k] = d.round
	return i
}

// want says for people what a message may hold.
func (l *layout) want() string {
	if l.spec.BatchAxis < 0 {
		return dimsText(l.spec.Shape)
	}
	if l.many {
		return dimsText(l.whole) + ", rows first"
	}
	text := dimsText(l.rest) + " for one row"
	if l.takesWhole() {
		text += " or " + dimsText(l.whole)
	}
	return text
}

// dimsText writes a shape with a question mark for what may vary.
func dimsText(dims []int64) string {
	text := []byte{'['}
	for i, n := range dims {
		if i > 0 {
			text = append(text, ' ')
		}
		if n < 0 {
			text = append(text, '?')
			continue
		}
		text = strconv.AppendInt(text, n, 10)
	}
	return string(append(text, ']'))
}

// field reads one element of an input at i.
func (d *decoder) field(u *use, i int) int {
	p := &d.c.inputs[u.input]
	f := &p.fields[u.element]
	b := &d.builder
	switch at(d.b, i) {
	case 'n':
		return skipLiteral(d.b, i)
	case '[':
		return b.fail(validateError(WrongShape, "%s is an array, the model takes one %s there", f.path, p.spec.Type))
	}
	b.t, b.path = &d.req.Inputs[u.input], f.path
	b.n, b.max, b.fixed, b.err = int64(u.element), p.most, true, nil
	b.budget = d.left
	if i = b.element(i); i < 0 {
		return i
	}
	if p.spec.Type == Bytes {
		d.left = b.budget
	}
	d.filled[f.mark] = d.round
	if f.required {
		d.got[u.input]++
	}
	return i
}

// complete checks that input k has all its values, once the document is read.
func (d *decoder) complete(k int) *Error {
	p := &d.c.inputs[k]
	if len(p.fields) > 0 {
		if d.got[k] < p.required {
			return d.missing(p)
		}
		if p.spec.BatchAxis < 0 {
			return nil
		}
		return d.addRows(p.path, 1, true)
	}
	if d.whole[k] == d.round {
		return nil
	}
	if !d.nan || !p.fixed || !p.spec.Type.isFloat() {
		return validateError(WrongName, "there is no %s for input %q", p.path, p.spec.Name)
	}
	return d.allNaN(k)
}

// missing names the first field that has no value.
func (d *decoder) missing(p *inputPlan) *Error {
	for i := range p.fields {
		if f := &p.fields[i]; f.required && d.filled[f.mark] != d.round {
			return validateError(WrongName, "there is no %s for element %d of input %q", f.path, i, p.spec.Name)
		}
	}
	return validateError(WrongName, "a field of input %q is missing", p.spec.Name)
}

// allNaN fills an input of fixed shape that is missing.
func (d *decoder) allNaN(k int) *Error {
	p := &d.c.inputs[k]
	t := &d.req.Inputs[k]
	size := t.Type.Size()
	t.Data = slices.Grow(t.Data[:0], int(p.most)*size)[:int(p.most)*size]
	for i := 0; i < len(t.Data); i += size {
		putFloat(t.Type, t.Data[i:], math.NaN())
	}
	shape, rows, single, ok := p.place(t.Shape[:0], []int64{p.most}, p.most)
	if t.Shape = shape; !ok {
		return validateError(WrongName, "there is no %s for input %q", p.path, p.spec.Name)
	}
	return d.addRows(p.path, rows, single)
}

// include copies the chosen fields into the request.
func (d *decoder) include() {
	out := d.req.Include
	for k, span := range d.spans {
		if span[1] == 0 {
			continue
		}
		sep := byte(',')
		if len(out) == 0 {
			sep = '{'
		}
		out = append(append(append(out, sep), d.c.keys[k]...), ':')
		out = appendToken(out, d.b[span[0]:span[1]])
	}
	if len(out) > 0 {
		out = append(out, '}')
	}
	d.req.Include = out
}
