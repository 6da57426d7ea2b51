package onnx

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrUnsafe is a model that is refused before the runtime sees it: it names
// files outside its folder, operators that nobody knows, or sizes that its file
// does not bear out.
var ErrUnsafe = errors.New("the model is not safe to load")

// knownDomains are those whose operators are ONNX's or the runtime's own.
// Others can only come from a library of custom operators, which is never
// loaded.
var knownDomains = []string{
	"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview", "ai.onnx.preview.training",
	"com.microsoft", "com.microsoft.nchwc", "com.microsoft.experimental", "com.ms.internal.nhwc",
}

// Further field numbers of onnx.proto3 (ModelProto, FunctionProto,
// TrainingInfoProto, GraphProto, NodeProto, AttributeProto, SparseTensorProto).
const (
	modelTraining  = 20
	modelFunctions = 25

	functionName      = 1
	functionNode      = 7
	functionDomain    = 10
	functionAttribute = 11

	trainingInitialization = 1
	trainingAlgorithm      = 2

	graphInitializer = 5
	graphSparse      = 15

	nodeName      = 3
	nodeAttribute = 5
	nodeDomain    = 7

	attributeTensor        = 5
	attributeGraph         = 6
	attributeTensors       = 10
	attributeGraphs        = 11
	attributeSparseTensor  = 22
	attributeSparseTensors = 23

	sparseValues  = 1
	sparseIndices = 2
	sparseDims    = 3
)

// operator is what a node runs: an operator of a domain, or a function that the
// model brings along.
type operator struct{ domain, name string }

// vetting goes through all graphs of a model, those of attributes and functions
// too, in one pass over the file and without a copy.
type vetting struct {
	walk
	folder    string // of the model's file
	functions map[operator]bool
	unknown   map[operator]string // to the first node's name; a function may explain it
	external  []string
}

// vet says whether a model may be given to the runtime, by what its file says
// and by the files in folder that it names, which are external. The error wraps
// ErrUnsafe or errMalformed.
func vet(data []byte, folder string) (external []string, err error) {
	v := &vetting{folder: folder, functions: map[operator]bool{}, unknown: map[operator]string{}}
	graphs := 0
	err = v.fields(data, func(num int, value []byte, _ uint64) error {
		switch num {
		case modelGraph:
			graphs++
			return v.fields(value, v.graphField)
		case modelFunctions:
			return v.function(value)
		case modelTraining:
			return v.fields(value, func(num int, value []byte, _ uint64) error {
				if num == trainingInitialization || num == trainingAlgorithm {
					return v.fields(value, v.graphField)
				}
				return nil
			})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if graphs != 1 {
		return nil, fmt.Errorf("%w: it has %d graphs, not one", errMalformed, graphs)
	}
	for op, node := range v.unknown {
		if !v.functions[op] {
			return nil, fmt.Errorf("%w: node %q runs %q of the operator domain %q, which is neither ONNX's nor the runtime's; "+
				"export the model without custom operators", ErrUnsafe, clean(node), clean(op.name), clean(op.domain))
		}
	}
	return v.external, nil
}

func (v *vetting) graphField(num int, value []byte, _ uint64) error {
	switch num {
	case graphNode:
		return v.node(value)
	case graphInitializer:
		return v.tensor(value)
	case graphSparse:
		return v.sparse(value)
	}
	return nil
}

func (v *vetting) node(data []byte) error {
	var op operator
	var name string
	err := v.fields(data, func(num int, value []byte, _ uint64) error {
		switch num {
		case nodeName:
			setText(&name, value)
		case nodeOpType:
			setText(&op.name, value)
		case nodeDomain:
			setText(&op.domain, value)
		case nodeAttribute:
			return v.fields(value, v.attributeField)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if op.name == "EPContext" {
		return fmt.Errorf("%w: node %q is an EPContext: a device's binary, or the path of one; export the model itself", ErrUnsafe, clean(name))
	}
	if _, seen := v.unknown[op]; !seen && !slices.Contains(knownDomains, op.domain) {
		v.unknown[op] = name
	}
	return nil
}

func (v *vetting) attributeField(num int, value []byte, _ uint64) error {
	switch num {
	case attributeTensor, attributeTensors:
		return v.tensor(value)
	case attributeGraph, attributeGraphs:
		return v.fields(value, v.graphField)
	case attributeSparseTensor, attributeSparseTensors:
		return v.sparse(value)
	}
	return nil
}

func (v *vetting) function(data []byte) error {
	var op operator
	err := v.fields(data, func(num int, value []byte, _ uint64) error {
		switch num {
		case functionName:
			setText(&op.name, value)
		case functionDomain:
			setText(&op.domain, value)
		case functionNode:
			return v.node(value)
		case functionAttribute:
			return v.fields(value, v.attributeField)
		}
		return nil
	})
	v.functions[op] = true
	return err
}

// sparse holds the size it is unfolded to against what a dense one could have
// in a file: the indices alone bound nothing.
func (v *vetting) sparse(data []byte) error {
	var s stored
	err := v.fields(data, func(num int, value []byte, number uint64) error {
		switch num {
		case sparseValues, sparseIndices:
			return v.tensor(value)
		case sparseDims:
			return s.addDims(value, number)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if n, ok := s.elements(); !ok || n > maxSparse {
		return fmt.Errorf("%w: a sparse initializer of dims %s would unfold to more than %d elements", ErrUnsafe, s.shape(), maxSparse)
	}
	return nil
}

// setText takes a string field. Another wire type under its number is an unknown
// field to protobuf's own parsers, and must not hide what they have read.
func setText(s *string, value []byte) {
	if value != nil {
		*s = string(value)
	}
}

// clean makes a text of the file fit for a log line.
func clean(s string) string {
	const most = 120
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strings.ToValidUTF8(s, "?")
}
