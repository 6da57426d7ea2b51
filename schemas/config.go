package schemas

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// Values of CodecConfig's choices.
const (
	RowsOne  = "one"
	RowsMany = "many"
	Reject   = "reject"
	NaN      = "nan"
	Pass     = "pass"
)

// CodecConfig says how one model's payloads look.
type CodecConfig struct {
	// Signature is the model's; it is read, never written.
	Signature *Signature
	// ModelName and ModelVersion go into results; a request that names another
	// model or version is refused (unknown_model).
	ModelName, ModelVersion string
	// Name is the codec for records without a content-type header: json
	// (default), raw or oip-json.
	Name string
	// OutputName is the codec of results; empty means the codec of the request.
	OutputName string
	// Inputs maps inputs to places in a JSON document. An input that is not in it
	// is read at "/" + its name.
	Inputs map[string]InputMapping
	// Rows is one (default): a JSON message is one row; or many: the first
	// dimension is the rows.
	Rows string
	// OnMissing is reject (default) or nan, for missing fields and nulls. Types
	// that have no NaN are rejected either way.
	OnMissing string
	// NonFinite is reject (default) or pass, for NaN and infinities in outputs.
	NonFinite string
	// Include lists JSON pointers of the input that are copied into the result's
	// "include", under their last token, or the whole pointer where two have the
	// same. A field that a message lacks is left out.
	Include []string
	// Labels names the classes. LabelOutput is the output whose largest element
	// (a row's argmax; ties go to the first) is the class, or which is the
	// class's index itself when it is one whole number a row. LabelOutput empty
	// and Labels set: the first output with as many elements a row as labels, else
	// the first that holds one whole number a row. Without Labels the label is the
	// index, a map's key, or the string itself.
	Labels      []string
	LabelOutput string
	// RawOutput is the output that raw writes; empty means the only one.
	RawOutput string
	// Limits bound what a record may cost.
	Limits Limits
}

// InputMapping says where an input is in a JSON document: at one JSON pointer
// (a scalar or an array), or gathered from Fields, which form the last axis in
// this order.
type InputMapping struct {
	Path   string
	Fields []Field
}

// Field is one element of an input.
type Field struct {
	// Path is a JSON pointer to a scalar.
	Path string
	// Default is the JSON token that stands in for a missing field or null; nil
	// means that there is none.
	Default json.RawMessage
}

// inputPlan is one input as decoding needs it.
type inputPlan struct {
	layout
	path     string
	fields   []fieldPlan
	template Tensor // the defaults of the fields, with their final shape
	required int    // fields without a default
	most     int64  // elements
	fixed    bool
}

type fieldPlan struct {
	path     string
	required bool
	mark     int
}

// NewCodec checks the configuration against the model's signature and prepares
// decoding. The error lists everything that is wrong.
func NewCodec(cfg CodecConfig) (*Codec, error) {
	if cfg.Signature == nil {
		return nil, errors.New("codec without a model signature")
	}
	if cfg.Name == "" {
		cfg.Name = CodecJSON
	}
	errs := []error{cfg.validate()}
	cfg.Limits = cfg.Limits.withDefaults()
	c := &Codec{cfg: cfg, raw: -1, label: -1}
	doc := newPointers()
	errs = append(errs,
		doc.add("/id", use{kind: useID}),
		c.planInputs(doc),
		c.planInclude(doc),
		c.planRaw(),
		c.planLabel())
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	doc.root.freeze()
	c.markPlain(doc.root)
	c.marked = doc.root.wantsMarks()
	c.doc, c.marks = doc.root, doc.count
	if c.incl != nil {
		c.incl.freeze()
	}
	c.nameModel()
	c.pool.New = func() any { return newDecoder(c) }
	return c, nil
}

// nameModel prepares the parts of results that are always the same.
func (c *Codec) nameModel() {
	name, version := appendQuoted(nil, c.cfg.ModelName), appendQuoted(nil, c.cfg.ModelVersion)
	c.jsonModel = fmt.Appendf(nil, `,"model":%s,"version":%s,"outputs":{`, name, version)
	c.oipModel = fmt.Appendf(nil, `{"model_name":%s,"model_version":%s,"id":`, name, version)
}

// markPlain finds the fields that the short cut for numbers may read.
func (c *Codec) markPlain(n *node) {
	n.plain = len(n.kids) == 0 && len(n.uses) == 1 && n.uses[0].kind == useElement &&
		c.inputs[n.uses[0].input].spec.Type == FP32
	if n.plain {
		f := &c.inputs[n.uses[0].input].fields[n.uses[0].element]
		if n.mark = f.mark; f.required {
			n.required = 1
		}
	}
	for _, k := range n.kids {
		c.markPlain(k)
	}
}

// validate checks what needs no model.
func (cfg *CodecConfig) validate() error {
	errs := []error{cfg.Limits.Validate()}
	oneOf := func(key, value string, choices ...string) {
		if value != "" && !slices.Contains(choices, value) {
			errs = append(errs, fmt.Errorf("%s is %q: want %s", key, value, strings.Join(choices, ", ")))
		}
	}
	oneOf("codec", cfg.Name, CodecJSON, CodecRaw, CodecOIPJSON)
	oneOf("output codec", cfg.OutputName, CodecJSON, CodecRaw, CodecOIPJSON)
	oneOf("rows", cfg.Rows, RowsOne, RowsMany)
	oneOf("on_missing", cfg.OnMissing, Reject, NaN)
	oneOf("non_finite", cfg.NonFinite, Reject, Pass)
	if cfg.Limits.Dimensions > maxRank {
		errs = append(errs, fmt.Errorf("limit Dimensions is %d: want at most %d", cfg.Limits.Dimensions, maxRank))
	}
	for name := range cfg.Inputs {
		if !slices.ContainsFunc(cfg.Signature.Inputs, func(s TensorSpec) bool { return s.Name == name }) {
			errs = append(errs, fmt.Errorf("inputs maps %q, which the model does not have: it has %s", name, namesOf(cfg.Signature.Inputs)))
		}
	}
	return errors.Join(errs...)
}

// namesOf lists tensors for people.
func namesOf(specs []TensorSpec) string {
	names := make([]string, len(specs))
	for i := range specs {
		names[i] = specs[i].Name
	}
	return strings.Join(names, ", ")
}

// planInputs prepares each input and enters its pointers.
func (c *Codec) planInputs(doc *pointers) error {
	sig := c.cfg.Signature
	c.inputs = make([]inputPlan, len(sig.Inputs))
	var errs []error
	total := int64(0)
	for i := range sig.Inputs {
		spec := &sig.Inputs[i]
		p := &c.inputs[i]
		p.layout = newLayout(spec, sig, c.cfg.Rows == RowsMany)
		m, mapped := c.cfg.Inputs[spec.Name]
		p.path = m.Path
		if !mapped {
			p.path = pointerTo(spec.Name)
		}
		p.most, p.fixed = p.elements()
		if !p.fixed {
			p.most = c.cfg.Limits.Elements
		} else if total += p.most * int64(max(spec.Type.Size(), 1)); p.most > c.cfg.Limits.Elements || total > c.cfg.Limits.DecodedBytes {
			errs = append(errs, fmt.Errorf("input %q takes %d elements, above the limits: raise Elements (%d) or DecodedBytes (%d)",
				spec.Name, p.most, c.cfg.Limits.Elements, c.cfg.Limits.DecodedBytes))
			continue
		}
		errs = append(errs, c.carries(spec))
		if len(m.Fields) > 0 {
			errs = append(errs, c.planFields(doc, i, m.Fields))
			continue
		}
		errs = append(errs, doc.add(p.path, use{kind: useInput, input: i}))
	}
	return errors.Join(errs...)
}

// carries tells whether the configured codec can carry the input.
func (c *Codec) carries(spec *TensorSpec) error {
	if len(spec.Shape) > c.cfg.Limits.Dimensions {
		return fmt.Errorf("input %q has %d dimensions, above the limit of %d", spec.Name, len(spec.Shape), c.cfg.Limits.Dimensions)
	}
	switch {
	case spec.Type == InvalidType:
		return fmt.Errorf("input %q has no type", spec.Name)
	case spec.Type == BF16 && c.cfg.Name != CodecRaw:
		return fmt.Errorf("input %q is BF16, which only travels raw: set the codec to raw", spec.Name)
	case spec.Type == FP16 && c.cfg.Name == CodecOIPJSON:
		return fmt.Errorf("input %q is FP16, which oip-json cannot carry: set the codec to raw or json", spec.Name)
	case c.cfg.Name == CodecRaw && len(c.inputs) != 1:
		return fmt.Errorf("codec raw needs a model with one input, this one has %s", namesOf(c.cfg.Signature.Inputs))
	}
	if _, fixed := Elements(c.rowShape(spec)); c.cfg.Name == CodecRaw && !fixed {
		return fmt.Errorf("codec raw needs fixed dimensions, input %q has %v", spec.Name, spec.Shape)
	}
	return nil
}

// rowShape is the shape of one row, or of all where there is no batch axis.
func (c *Codec) rowShape(spec *TensorSpec) []int64 {
	if spec.BatchAxis < 0 {
		return spec.Shape
	}
	return slices.Delete(slices.Clone(spec.Shape), spec.BatchAxis, spec.BatchAxis+1)
}

// planFields prepares an input that is gathered from fields.
func (c *Codec) planFields(doc *pointers, input int, fields []Field) error {
	p := &c.inputs[input]
	p.path = fmt.Sprintf("the fields of input %q", p.spec.Name)
	if p.many {
		return fmt.Errorf("input %q is a list of fields, which is one row: it does not go with rows: many", p.spec.Name)
	}
	n := int64(len(fields))
	shape, rows, single, ok := p.place(nil, []int64{n}, n)
	if !ok || (len(shape) > 0 && shape[len(shape)-1] != n && n != 1) || (rows > 0 && !single) {
		return fmt.Errorf("input %q has shape %v, %d fields do not form its last axis", p.spec.Name, p.spec.Shape, n)
	}
	p.template = Tensor{Type: p.spec.Type, Shape: shape}
	p.most, p.fixed = n, true
	if p.spec.Type == Bytes {
		p.template.Strings = make([]string, n)
	} else {
		p.template.Data = make([]byte, int(n)*p.spec.Type.Size())
	}
	var errs []error
	for k, f := range fields {
		required, err := c.planDefault(&p.template, k, f)
		errs = append(errs, err, doc.add(f.Path, use{kind: useElement, input: input, element: k}))
		p.fields = append(p.fields, fieldPlan{path: f.Path, required: required, mark: c.fields})
		c.fields++
		if required {
			p.required++
		}
	}
	return errors.Join(errs...)
}

// planDefault puts what stands for a missing field into the template.
func (c *Codec) planDefault(template *Tensor, k int, f Field) (required bool, err error) {
	size := template.Type.Size()
	if f.Default == nil {
		if c.cfg.OnMissing != NaN || !template.Type.isFloat() {
			return true, nil
		}
		putFloat(template.Type, template.Data[k*size:], math.NaN())
		return false, nil
	}
	p := builder{b: f.Default, names: &interner{}, budget: c.cfg.Limits.DecodedBytes}
	one := Tensor{Type: template.Type}
	p.start(&one, f.Path, 1, true)
	if end := p.element(0); end != len(f.Default) {
		return false, fmt.Errorf("the default of %s is %s: want a JSON value of type %s", f.Path, f.Default, template.Type)
	}
	if template.Type == Bytes {
		template.Strings[k] = one.Strings[0]
		return false, nil
	}
	copy(template.Data[k*size:], one.Data[:size])
	return false, nil
}

// planInclude enters the pointers of the fields to copy.
func (c *Codec) planInclude(doc *pointers) error {
	if len(c.cfg.Include) == 0 {
		return nil
	}
	last := map[string]int{}
	for _, path := range c.cfg.Include {
		last[lastToken(path)]++
	}
	only := newPointers()
	var errs []error
	for i, path := range c.cfg.Include {
		key := lastToken(path)
		if last[key] > 1 || key == "" {
			key = path
		}
		if !utf8.ValidString(key) {
			errs = append(errs, fmt.Errorf("include %q is not UTF-8", path))
		}
		c.keys = append(c.keys, string(appendQuoted(nil, key)))
		errs = append(errs,
			doc.add(path, use{kind: useSpan, span: i}),
			only.add(path, use{kind: useSpan, span: i}))
	}
	c.incl = only.root
	return errors.Join(errs...)
}

func lastToken(pointer string) string {
	tokens, err := parsePointer(pointer)
	if err != nil || len(tokens) == 0 {
		return ""
	}
	return tokens[len(tokens)-1]
}
