package schemas

import (
	"encoding/json"
	"errors"
)

// decoder is the scratch of decoding one record. Pooled; not safe for concurrent
// use. Its scans return an index, or badSyntax (with err set when the fault is
// not the syntax), or tooDeep.
type decoder struct {
	builder
	skip    skipper
	strings interner
	c       *Codec
	rec     *Record
	req     *Request
	left    int64 // of Limits.DecodedBytes

	round  uint32   // marks of this record
	marks  []uint32 // per node: visited
	filled []uint32 // per field: has a value
	whole  []uint32 // per input: has a value
	got    []int    // per input: required fields that have a value
	spans  [][2]int // per include
	id     [2]int   // the id's token

	rows   int64
	single bool
	key    []byte // unescaped field name
	index  []byte // array index as text
	oip    oipTensor
	places []uint32 // of the marks
}

func newDecoder(c *Codec) *decoder {
	return &decoder{
		c:      c,
		marks:  make([]uint32, c.marks),
		filled: make([]uint32, c.fields),
		whole:  make([]uint32, len(c.inputs)),
		got:    make([]int, len(c.inputs)),
		spans:  make([][2]int, len(c.cfg.Include)),
	}
}

// begin makes the decoder ready for a record.
func (d *decoder) begin(rec *Record, req *Request) {
	d.rec, d.req = rec, req
	d.b = rec.Value
	d.left = d.c.cfg.Limits.DecodedBytes
	d.nan = d.c.cfg.OnMissing == NaN
	d.dimensions = min(d.c.cfg.Limits.Dimensions, d.c.cfg.Limits.Depth)
	d.names = &d.strings
	d.err = nil
	d.id = [2]int{}
	d.rows, d.single = 0, false
	d.nextRound()
}

// nextRound forgets all marks at once.
func (d *decoder) nextRound() {
	if d.round++; d.round == 0 { // after 4 billion records
		clear(d.marks)
		clear(d.filled)
		clear(d.whole)
		d.round = 1
	}
	clear(d.got)
	clear(d.spans)
}

// release lets go of the record.
func (d *decoder) release() {
	d.rec, d.req, d.b, d.t = nil, nil, nil, nil
}

// fault is the error of a scan that ended with i.
func (d *decoder) fault(i int) *Error {
	switch {
	case i == tooDeep:
		return decodeError(TooLarge, "the JSON nests deeper than the limit of %d", d.c.cfg.Limits.Depth)
	case d.err != nil:
		return d.err
	}
	var syntax *json.SyntaxError
	var raw json.RawMessage
	if err := json.Unmarshal(d.b, &raw); errors.As(err, &syntax) {
		return decodeError(Undecodable, "the value is not JSON: wrong at byte %d of %d", syntax.Offset, len(d.b))
	}
	return decodeError(Undecodable, "the value is not the JSON that was expected")
}

// enter returns the index of the first thing inside the bracket at i; empty when
// it closes at once, then behind it.
func (d *decoder) enterBracket(i int) (next int, empty bool) {
	closer := d.b[i] + 2
	i = space(d.b, i+1)
	if at(d.b, i) == closer {
		return i + 1, true
	}
	return i, false
}

// next goes on behind a value inside a bracket: to the next one, or (done) behind
// the bracket.
func (d *decoder) next(i int, closer byte) (next int, done bool) {
	if i < 0 {
		return i, true
	}
	i = space(d.b, i)
	switch at(d.b, i) {
	case ',':
		return space(d.b, i+1), false
	case closer:
		return i + 1, true
	}
	return badSyntax, true
}

// name reads the field name at i and returns where it lies in text[from:to], and
// the index of its value.
func (d *decoder) name(i int) (text []byte, from, to, value int) {
	if at(d.b, i) != '"' {
		return nil, 0, 0, badSyntax
	}
	end, plain := skipString(d.b, i)
	if end < 0 {
		return nil, 0, 0, badSyntax
	}
	text, from, to = d.b, i+1, end-1
	if !plain {
		d.key = appendUnquoted(d.key[:0], d.b[i:end])
		text, from, to = d.key, 0, len(d.key)
	}
	if at(d.b, end) != ':' {
		if end = space(d.b, end); at(d.b, end) != ':' {
			return nil, 0, 0, badSyntax
		}
	}
	return text, from, to, space(d.b, end+1)
}

// twice refuses a field that came before.
func (d *decoder) twice(path string) int {
	return d.fail(decodeError(Undecodable, "field %s appears twice", path))
}

// addRows takes the rows that one input brings.
func (d *decoder) addRows(path string, rows int64, single bool) *Error {
	if rows < 0 {
		return nil
	}
	if d.rows > 0 && d.rows != rows {
		return validateError(WrongShape, "%s has %d rows, an input before it has %d", path, rows, d.rows)
	}
	if most := int64(d.c.cfg.Signature.FixedRows); most > 0 && rows > most {
		return validateError(WrongShape, "%s has %d rows, the model takes %d at most", path, rows, most)
	}
	d.rows = rows
	d.single = d.single || single
	return nil
}

// most is how many elements an input may bring within the limits.
func (d *decoder) most(t DataType) int64 {
	return min(d.c.cfg.Limits.Elements, d.left/int64(max(t.Size(), 1)))
}
