package onnx

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/encoding/protowire"
)

// errMalformed: the runtime will say what is wrong with such a file.
var errMalformed = errors.New("not an ONNX file")

// modelFile is what the runtime does not tell about a model: the names of its
// dimensions, the element types of its maps, and which operators it has.
type modelFile struct {
	values    map[string]*valueInfo // graph inputs and outputs
	operators map[string]bool
}

type valueInfo struct {
	elem     int32    // TensorProto.DataType, 0 unknown
	dims     []string // the symbolic name of each dimension, "" for none
	sequence bool
	mapKey   int32 // TensorProto.DataType of a map's keys, 0 for no map
	mapValue int32
}

// readModelFile parses the parts it needs. The file is mapped, not read: models
// can be larger than memory allows to copy.
func readModelFile(path string) (*modelFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the model: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("size of the model: %w", err)
	}
	if info.Size() == 0 {
		return nil, fmt.Errorf("model %s is empty", path)
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("map the model %s: %w", path, err)
	}
	defer func() { _ = unix.Munmap(data) }() // nothing to do about it
	m, err := parseModel(data)
	if err != nil {
		return nil, fmt.Errorf("read the model %s: %w", path, err)
	}
	return m, nil
}

// Field numbers of onnx.proto3 (ModelProto, GraphProto, NodeProto,
// ValueInfoProto, TypeProto, TensorShapeProto).
const (
	modelGraph = 7

	graphNode   = 1
	graphInput  = 11
	graphOutput = 12

	nodeOpType = 4

	valueName = 1
	valueType = 2

	typeTensor   = 1
	typeSequence = 4
	typeMap      = 5

	tensorElem  = 1
	tensorShape = 2
	shapeDim    = 1
	dimParam    = 2

	sequenceElem = 1
	mapKeyType   = 1
	mapValueType = 2
)

func parseModel(data []byte) (*modelFile, error) {
	m := &modelFile{values: map[string]*valueInfo{}, operators: map[string]bool{}}
	err := fields(data, func(num int, value []byte, _ uint64) error {
		if num != modelGraph {
			return nil
		}
		return fields(value, m.graphField)
	})
	return m, err
}

func (m *modelFile) graphField(num int, value []byte, _ uint64) error {
	switch num {
	case graphNode:
		return fields(value, func(num int, value []byte, _ uint64) error {
			if num == nodeOpType {
				m.operators[string(value)] = true
			}
			return nil
		})
	case graphInput, graphOutput:
		var name string
		v := &valueInfo{}
		err := fields(value, func(num int, value []byte, _ uint64) error {
			switch num {
			case valueName:
				name = string(value)
			case valueType:
				return fields(value, v.typeField)
			}
			return nil
		})
		m.values[name] = v
		return err
	}
	return nil
}

func (v *valueInfo) typeField(num int, value []byte, _ uint64) error {
	switch num {
	case typeTensor:
		return fields(value, v.tensorField)
	case typeSequence:
		v.sequence = true
		return fields(value, func(num int, value []byte, _ uint64) error {
			if num == sequenceElem {
				return fields(value, v.typeField)
			}
			return nil
		})
	case typeMap:
		return fields(value, v.mapField)
	}
	return nil
}

func (v *valueInfo) tensorField(num int, value []byte, number uint64) error {
	switch num {
	case tensorElem:
		v.elem = int32(number)
	case tensorShape:
		return fields(value, func(num int, value []byte, _ uint64) error {
			if num != shapeDim {
				return nil
			}
			name := ""
			err := fields(value, func(num int, value []byte, _ uint64) error {
				if num == dimParam {
					name = string(value)
				}
				return nil
			})
			v.dims = append(v.dims, name)
			return err
		})
	}
	return nil
}

func (v *valueInfo) mapField(num int, value []byte, number uint64) error {
	switch num {
	case mapKeyType:
		v.mapKey = int32(number)
	case mapValueType:
		inner := &valueInfo{}
		err := fields(value, inner.typeField)
		v.mapValue = inner.elem
		return err
	}
	return nil
}

// fields calls visit for each field of a message: value for length-delimited
// ones, number for varints.
func fields(data []byte, visit func(num int, value []byte, number uint64) error) error {
	for len(data) > 0 {
		num, typ, n := protowire.ConsumeTag(data)
		if n < 0 {
			return fmt.Errorf("%w: %w", errMalformed, protowire.ParseError(n))
		}
		data = data[n:]
		var value []byte
		var number uint64
		switch typ {
		case protowire.BytesType:
			value, n = protowire.ConsumeBytes(data)
		case protowire.VarintType:
			number, n = protowire.ConsumeVarint(data)
		default:
			n = protowire.ConsumeFieldValue(num, typ, data)
		}
		if n < 0 {
			return fmt.Errorf("%w: %w", errMalformed, protowire.ParseError(n))
		}
		data = data[n:]
		if err := visit(int(num), value, number); err != nil {
			return err
		}
	}
	return nil
}
