package onnx

import (
	"fmt"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/sluice-ml/sluice/schemas"
)

// port is one declared input or output of a model.
type port struct {
	name     string
	typ      schemas.DataType
	dims     []int64  // -1 for a dimension that may vary
	symbols  []string // the name of each dimension, "" for none
	sequence bool     // a sequence of maps
}

// dimRef tells where one dimension of an output comes from: a number, or a
// dimension of an input.
type dimRef struct {
	size        int64 // -1 when input and axis say it
	input, axis int
}

// outputPlan is one output and what is known of its shape. Nil dims: unknown
// until it has run, so the runtime allocates it.
type outputPlan struct {
	port
	axis int // the axis that counts rows; -1: the output goes whole to each item
	dims []dimRef
}

// plan is how a model is run: decided once, at load.
type plan struct {
	inputs    []port
	axes      []int // per input, the axis that counts rows, -1 for none
	outputs   []outputPlan
	fixedRows int
	varying   bool // a dimension other than the rows may vary
	alone     bool
	reason    string // why alone
}

// whole says that an item's tensors are handed over as they are, in one run.
func (p *plan) whole() bool { return p.alone && p.fixedRows == 0 }

// describe asks the runtime for the model's inputs and outputs and adds the
// names that only the file has. It makes a temporary session without any
// optimisation, since the runtime tells these only at that time.
func describe(path string, file *modelFile) (inputs, outputs []port, err error) {
	opts, err := ort.NewSessionOptions()
	if err != nil {
		return nil, nil, fmt.Errorf("make session options: %w", err)
	}
	defer func() { _ = opts.Destroy() }() // it exists
	if err := opts.SetGraphOptimizationLevel(ort.GraphOptimizationLevelDisableAll); err != nil {
		return nil, nil, fmt.Errorf("switch optimisation off: %w", err)
	}
	if err := opts.SetIntraOpNumThreads(1); err != nil {
		return nil, nil, fmt.Errorf("set the threads: %w", err)
	}
	in, out, err := ort.GetInputOutputInfoWithOptions(path, opts)
	if err != nil {
		return nil, nil, fmt.Errorf("load the model %s: %w; it must be an ONNX file that ONNX Runtime %s can run", path, err, RuntimeVersion())
	}
	if len(in) == 0 || len(out) == 0 {
		return nil, nil, fmt.Errorf("model %s has %d inputs and %d outputs: at least one of each is needed", path, len(in), len(out))
	}
	for i := range in {
		p, err := newPort(&in[i], file.values[in[i].Name])
		if err == nil && p.sequence {
			err = fmt.Errorf("input %q is a sequence: only tensors can be sent in", p.name)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("model %s: %w", path, err)
		}
		inputs = append(inputs, p)
	}
	for i := range out {
		p, err := newPort(&out[i], file.values[out[i].Name])
		if err != nil {
			return nil, nil, fmt.Errorf("model %s: %w", path, err)
		}
		outputs = append(outputs, p)
	}
	return inputs, outputs, nil
}

func newPort(info *ort.InputOutputInfo, v *valueInfo) (port, error) {
	if v == nil {
		v = &valueInfo{}
	}
	p := port{name: info.Name}
	if info.OrtValueType == ort.ONNXTypeSequence && v.sequence && v.mapKey != 0 {
		p.sequence = true
		elem, ok := dataType(ort.TensorElementDataType(v.mapValue))
		if !ok {
			return p, fmt.Errorf("output %q holds maps of a type that is not supported", p.name)
		}
		p.typ = elem
		return p, nil
	}
	if info.OrtValueType != ort.ONNXTypeTensor {
		return p, fmt.Errorf("%q is of kind %s: tensors and sequences of maps are supported", p.name, info.OrtValueType)
	}
	typ, ok := dataType(info.DataType)
	if !ok {
		return p, fmt.Errorf("%q has elements of type %s, which is not supported", p.name, info.DataType)
	}
	p.typ, p.dims = typ, append([]int64{}, info.Dimensions...)
	if len(p.dims) == 0 && !scalarType(typ) {
		return p, fmt.Errorf("%q is a rank-0 %s, which the binding cannot carry: give it a dimension", p.name, typ)
	}
	p.symbols = make([]string, len(p.dims))
	if len(v.dims) == len(p.dims) {
		copy(p.symbols, v.dims)
	}
	return p, nil
}

// refer finds where each dimension of an output comes from, by its number, by
// its being the one that counts rows, or by a name it shares with an input; nil
// when one of them cannot be told before a run.
func (o *outputPlan) refer(inputs []port, axes []int) []dimRef {
	if o.sequence || o.typ == schemas.Bytes {
		return nil // made by the runtime always
	}
	refs := make([]dimRef, len(o.port.dims))
	for a, size := range o.port.dims {
		switch ref, ok := rowsRef(axes); {
		case size >= 0: // the runtime refuses memory of another size than declared
			refs[a] = dimRef{size: size}
		case a == o.axis && ok:
			refs[a] = ref
		default:
			ref, ok := symbolRef(o.symbols[a], inputs)
			if !ok {
				return nil
			}
			refs[a] = ref
		}
	}
	return refs
}

func rowsRef(axes []int) (dimRef, bool) {
	for i, axis := range axes {
		if axis >= 0 {
			return dimRef{size: -1, input: i, axis: axis}, true
		}
	}
	return dimRef{}, false
}

func symbolRef(symbol string, inputs []port) (dimRef, bool) {
	for i := range inputs {
		for a, s := range inputs[i].symbols {
			if s == symbol && s != "" {
				return dimRef{size: -1, input: i, axis: a}, true
			}
		}
	}
	return dimRef{}, false
}

// mustKnow says that the binding can read this output only from memory of ours:
// it copies one byte for each element of a float16 and refuses rank 0.
func (o *outputPlan) mustKnow() bool {
	return !o.sequence && (o.typ == schemas.FP16 || o.typ == schemas.BF16 || len(o.port.dims) == 0)
}

// shape writes the output's shape for these inputs' shapes into dst.
func (o *outputPlan) shape(dst []int64, inputs [][]int64) []int64 {
	dst = dst[:0]
	for _, ref := range o.dims {
		if ref.size >= 0 {
			dst = append(dst, ref.size)
		} else {
			dst = append(dst, inputs[ref.input][ref.axis])
		}
	}
	return dst
}

// signature is what decoding, batching and encoding must know.
func (p *plan) signature() *schemas.Signature {
	s := &schemas.Signature{Alone: p.alone, AloneReason: p.reason, FixedRows: p.fixedRows, Varying: p.varying}
	for i := range p.inputs {
		in := &p.inputs[i]
		spec := schemas.TensorSpec{Name: in.name, Type: in.typ, Shape: append([]int64{}, in.dims...), BatchAxis: p.axes[i]}
		if spec.BatchAxis >= 0 {
			spec.Shape[spec.BatchAxis] = -1 // a fixed number of rows is FixedRows
		}
		s.Inputs = append(s.Inputs, spec)
	}
	for i := range p.outputs {
		out := &p.outputs[i]
		spec := schemas.TensorSpec{Name: out.name, Type: out.typ, Shape: append([]int64{}, out.port.dims...), BatchAxis: out.axis, Sequence: out.sequence}
		if spec.BatchAxis >= 0 && spec.BatchAxis < len(spec.Shape) {
			spec.Shape[spec.BatchAxis] = -1
		}
		s.Outputs = append(s.Outputs, spec)
	}
	return s
}
