package schemas

import "math"

// oipTensor is one entry of "inputs" as far as it was read.
type oipTensor struct {
	input  int // -1: no name yet
	typ    DataType
	shape  []int64
	sized  bool // shape was there
	data   int  // where data starts, -1
	parsed bool // data was read
}

// decodeOIP reads an Open Inference Protocol v2 request.
func (c *Codec) decodeOIP(d *decoder) *Error {
	i := space(d.b, 0)
	if at(d.b, i) != '{' {
		if err := d.valid(); err != nil {
			return err
		}
		return decodeError(Undecodable, "the value is no JSON object, as an Open Inference Protocol request is")
	}
	if i = d.oipRequest(i); i >= 0 && space(d.b, i) != len(d.b) {
		i = badSyntax
	}
	if i < 0 {
		return d.fault(i)
	}
	for k := range c.inputs {
		if d.whole[k] != d.round {
			return validateError(WrongName, "the request has no input %q", c.inputs[k].spec.Name)
		}
	}
	if d.id[1] > 0 {
		d.req.ID = appendToken(d.req.ID, d.b[d.id[0]:d.id[1]])
	} else {
		d.req.ID = appendRecordID(d.req.ID, d.rec)
	}
	if c.incl == nil {
		return nil
	}
	clear(d.marks) // the nodes of the includes have ids of their own
	if err := d.walk(c.incl); err != nil {
		return err
	}
	d.include()
	return nil
}

// valid checks that the value is JSON at all.
func (d *decoder) valid() *Error {
	if end := d.skip.document(d.b, d.c.cfg.Limits.Depth); end < 0 {
		return d.fault(end)
	}
	return nil
}

// The top-level fields that may come once.
const (
	oipID = 1 << iota
	oipModelName
	oipModelVersion
	oipParameters
	oipInputs
	oipOutputs
)

var oipFields = map[string]int{
	"id": oipID, "model_name": oipModelName, "model_version": oipModelVersion,
	"parameters": oipParameters, "inputs": oipInputs, "outputs": oipOutputs,
}

// oipRequest reads the request object at i.
func (d *decoder) oipRequest(i int) int {
	seen := 0
	i, done := d.enterBracket(i)
	for !done {
		text, from, to, value := d.name(i)
		if value < 0 {
			return value
		}
		field := oipFields[string(text[from:to])]
		if field&seen != 0 {
			return d.fail(decodeError(Undecodable, "a field of the request appears twice"))
		}
		seen |= field
		i, done = d.next(d.oipField(field, value), '}')
		if i < 0 {
			return i
		}
	}
	return i
}

func (d *decoder) oipField(field, i int) int {
	depth := d.c.cfg.Limits.Depth - 1
	switch field {
	case oipID:
		return d.readID("/id", i)
	case oipModelName, oipModelVersion:
		return d.oipModel(field, i)
	case oipParameters:
		return d.oipParameters(i)
	case oipInputs:
		return d.oipList(i, (*decoder).oipInput)
	case oipOutputs:
		return d.oipList(i, (*decoder).oipOutput)
	}
	return d.pass(i, depth)
}

// stringAt reads the string at i; null is an empty one.
func (d *decoder) stringAt(what string, i int) (text []byte, end int) {
	switch at(d.b, i) {
	case 'n':
		return nil, skipLiteral(d.b, i)
	case '"':
		end, plain := skipString(d.b, i)
		switch {
		case end < 0:
			return nil, end
		case plain:
			return d.b[i+1 : end-1], end
		}
		d.key = appendUnquoted(d.key[:0], d.b[i:end])
		return d.key, end
	}
	return nil, d.wrong(WrongType, what+" is no string")
}

func (d *decoder) wrong(class Class, message string) int {
	return d.fail(&Error{Class: class, Stage: StageValidate, Message: message})
}

func (d *decoder) oipModel(field, i int) int {
	text, end := d.stringAt("model_name or model_version", i)
	if end < 0 {
		return end
	}
	var err *Error
	if field == oipModelName {
		err = d.c.named(d.req, text, nil)
	} else {
		err = d.c.named(d.req, nil, text)
	}
	if err != nil {
		return d.fail(err)
	}
	return end
}

// oipList calls one for each object of the array at i.
func (d *decoder) oipList(i int, one func(*decoder, int) int) int {
	switch at(d.b, i) {
	case '[':
	case 'n':
		return skipLiteral(d.b, i)
	default:
		return d.wrong(WrongType, "inputs and outputs must be arrays of objects")
	}
	i, done := d.enterBracket(i)
	for !done {
		if at(d.b, i) != '{' {
			return d.wrong(WrongType, "inputs and outputs must be arrays of objects")
		}
		if i, done = d.next(one(d, i), ']'); i < 0 {
			return i
		}
	}
	return i
}

// oipParameters takes timeout and priority; the others mean nothing here.
func (d *decoder) oipParameters(i int) int {
	switch at(d.b, i) {
	case '{':
	case 'n':
		return skipLiteral(d.b, i)
	default:
		return d.wrong(WrongType, "parameters must be an object")
	}
	i, done := d.enterBracket(i)
	for !done {
		text, from, to, value := d.name(i)
		if value < 0 {
			return value
		}
		switch string(text[from:to]) {
		case "timeout":
			i = d.oipTimeout(value)
		case "priority":
			d.req.Priority, i = d.whole64("priority", value)
		default:
			i = d.pass(value, d.c.cfg.Limits.Depth-2)
		}
		if i, done = d.next(i, '}'); i < 0 {
			return i
		}
	}
	return i
}

// whole64 reads the whole number at i, which is not negative.
func (d *decoder) whole64(what string, i int) (v int64, end int) {
	if c := at(d.b, i); c != '-' && c-'0' > 9 {
		return 0, d.wrong(WrongType, what+" is no number")
	}
	x, end := scanNumber(d.b, i)
	if end < 0 {
		return 0, end
	}
	abs, ok := x.integer()
	if !ok || abs > math.MaxInt64 || (x.neg && abs > 0) {
		return 0, d.wrong(WrongType, what+" is no whole number from 0 on")
	}
	return int64(abs), end
}

// oipTimeout turns microseconds from the record's time on into a deadline; 0 is
// none, as servers of the protocol have it.
func (d *decoder) oipTimeout(i int) int {
	us, end := d.whole64("timeout", i)
	if end >= 0 && us > 0 && d.rec.Timestamp >= 0 {
		d.req.expire(d.rec.Timestamp + us/1000 + min(us%1000, 1))
	}
	return end
}

// oipOutput takes the name of one output that the request wants.
func (d *decoder) oipOutput(i int) int {
	i, done := d.enterBracket(i)
	for !done {
		text, from, to, value := d.name(i)
		if value < 0 {
			return value
		}
		if string(text[from:to]) == "name" {
			var name []byte
			if name, i = d.stringAt("an output's name", value); i >= 0 && !d.c.wants(d.req, name) {
				return d.wrong(WrongName, "the request wants an output that the model does not have: it has "+namesOf(d.c.cfg.Signature.Outputs))
			}
		} else {
			i = d.pass(value, d.c.cfg.Limits.Depth-3)
		}
		if i, done = d.next(i, '}'); i < 0 {
			return i
		}
	}
	return i
}

// wants notes the output in req; false when the model has none of that name.
func (c *Codec) wants(req *Request, name []byte) bool {
	for i := range c.cfg.Signature.Outputs {
		if s := &c.cfg.Signature.Outputs[i]; s.Name == string(name) {
			for _, have := range req.Outputs {
				if have == s.Name {
					return true
				}
			}
			req.Outputs = append(req.Outputs, s.Name)
			return true
		}
	}
	return false
}
