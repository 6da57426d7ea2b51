package schemas

import (
	"sync"
)

// The codecs' names in the configuration.
const (
	CodecJSON    = "json"
	CodecRaw     = "raw"
	CodecOIPJSON = "oip-json"
)

// Codec turns records into requests and results into bytes, for one model. Safe
// for concurrent use.
//
// The record's content-type header chooses the codec, parameters and case
// ignored: application/json, application/vnd.oip+json, application/octet-stream.
// Without one, or with an empty one, the configured codec holds; any other type
// is refused (unsupported_content_type), for bytes are never guessed. Where the
// configured codec is oip-json, application/json means oip-json as well: the
// protocol's HTTP clients send nothing else.
//
// # json
//
// One strict JSON value: what encoding/json calls valid, with nothing behind it.
// Bad UTF-8 in a string becomes U+FFFD. A field that the configuration reads and
// that appears twice is refused (undecodable): which one was meant is a guess.
// Fields that nobody reads are passed over, checked only to be JSON.
//
//   - Numbers are read exactly as strconv reads them. "NaN", "Infinity" and
//     "-Infinity" stand for what JSON cannot write, for float types only. Whole
//     numbers may be written 1.0 or 1e3. Out of range is wrong_type. FP16 is
//     rounded by way of FP32, ties to even.
//   - A message is one row and leaves the batch dimension out: nested as the
//     input's shape without it, or flat (or a scalar, for one element) where the
//     number of elements leaves no choice; one dimension may be inferred. Inputs
//     without a batch axis take their whole shape.
//   - Where the model runs each item alone, or its rows are not the first axis, the
//     whole shape is taken too, batch dimension included; results then keep it.
//   - With rows: many, the first dimension is the rows, the same for all inputs.
//   - A missing field and null are the same: the field's default, NaN, or
//     wrong_name with the pointer.
//
// # raw
//
// The value is the bytes of the model's only input, little-endian, one row (with
// rows: many, any whole number of rows). BYTES elements have a 4-byte
// little-endian length in front, as in the Open Inference Protocol.
//
// # oip-json
//
// The Open Inference Protocol v2 request: name, datatype and shape must be the
// model's, the shape includes the batch dimension and so says how many rows there
// are, data is nested or flat. FP16 and BF16 have no JSON form in the protocol.
// A timeout parameter (microseconds) counts from the record's timestamp.
//
// # Stages
//
// Errors of what the bytes are (undecodable, too_large, unsupported_content_type)
// have the stage decode, errors of what they say (wrong_name, wrong_type,
// wrong_shape, unknown_model) the stage validate.
type Codec struct {
	cfg    CodecConfig
	inputs []inputPlan
	doc    *node // of json: where the inputs, the id and the includes are
	marked bool  // documents of json are walked along their marks
	marks  int   // nodes in doc
	fields int   // fields in all lists
	incl   *node // of oip-json: only the includes; nil when there are none
	keys   []string
	raw    int // index of the output that raw writes, -1 when there is none
	label  int // index of the output that labels, -1 when there is none
	// what names the model in results: from the id to the outputs in json, up to
	// the id in oip-json
	jsonModel, oipModel []byte

	pool sync.Pool
}

// Decode fills req, reusing its memory, from rec. Nothing of req aliases rec but
// the data of a raw payload (Request.Lent).
// The error is an *Error.
func (c *Codec) Decode(rec *Record, req *Request) error {
	if err := c.decode(rec, req); err != nil {
		return err
	}
	return nil
}

func (c *Codec) decode(rec *Record, req *Request) *Error {
	if err := c.cfg.Limits.check(rec); err != nil {
		return err
	}
	c.reset(req)
	if err := c.envelope(rec, req); err != nil {
		return err
	}
	if rec.Value == nil {
		return decodeError(Undecodable, "the value is null: there is nothing to decode")
	}
	d := c.pool.Get().(*decoder)
	defer c.pool.Put(d)
	d.begin(rec, req)
	var err *Error
	switch req.Codec {
	case CodecRaw:
		err = c.decodeRaw(d)
	case CodecOIPJSON:
		err = c.decodeOIP(d)
	default:
		err = c.decodeJSON(d)
	}
	d.release()
	if err != nil {
		return err
	}
	if req.Single = d.single; d.rows > 0 {
		req.Rows = int(d.rows)
	}
	return nil
}

// reset empties req and gives it one tensor per input.
func (c *Codec) reset(req *Request) {
	req.GiveBack()
	req.ID = req.ID[:0]
	req.Rows, req.Single = 1, false
	req.Include, req.Outputs = req.Include[:0], req.Outputs[:0]
	req.ModelName, req.ModelVersion = "", ""
	req.Deadline, req.Priority = 0, 0
	if n := len(c.inputs); cap(req.Inputs) < n {
		req.Inputs = append(req.Inputs[:cap(req.Inputs)], make([]Tensor, n-cap(req.Inputs))...)
	} else {
		req.Inputs = req.Inputs[:n]
	}
	for i := range req.Inputs {
		t, spec := &req.Inputs[i], c.inputs[i].spec
		t.Name, t.Type = spec.Name, spec.Type
		t.Shape = t.Shape[:0]
	}
}

// Encode appends the result's bytes to dst and names their content type. The
// codec is the configured output codec, else the one that decoded req. On an
// error dst comes back as it was. The error is an *Error.
func (c *Codec) Encode(dst []byte, _ *Record, req *Request, res *Result) (out []byte, contentType string, err error) {
	name := c.cfg.OutputName
	if name == "" {
		name = req.Codec
	}
	var fault *Error
	switch name {
	case CodecRaw:
		out, fault = c.encodeRaw(dst, res)
		contentType = contentTypeRaw
	case CodecOIPJSON:
		out, fault = c.encodeOIP(dst, req, res)
		contentType = contentTypeOIP
	default:
		out, fault = c.encodeJSON(dst, req, res)
		contentType = contentTypeJSON
	}
	if fault != nil {
		return dst, "", fault
	}
	return out, contentType, nil
}
