package onnx

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// modelFile is what the runtime does not tell about a model: the names of its
// dimensions, the element types of its maps, and which operators it has.
type modelFile struct {
	values    map[string]*valueInfo // graph inputs and outputs
	operators map[string]bool
	external  []string // files beside it that hold weights
}

type valueInfo struct {
	elem     int32    // TensorProto.DataType, 0 unknown
	dims     []string // the symbolic name of each dimension, "" for none
	sequence bool
	mapKey   int32 // TensorProto.DataType of a map's keys, 0 for no map
	mapValue int32
	walk     *walk
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
	if err == nil {
		m.external, err = vet(data, filepath.Dir(path))
	}
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
	w := &walk{}
	err := w.fields(data, func(num int, value []byte, _ uint64) error {
		if num != modelGraph {
			return nil
		}
		return w.fields(value, func(num int, value []byte, _ uint64) error { return m.graphField(w, num, value) })
	})
	return m, err
}

func (m *modelFile) graphField(w *walk, num int, value []byte) error {
	switch num {
	case graphNode:
		return w.fields(value, func(num int, value []byte, _ uint64) error {
			if num == nodeOpType {
				m.operators[string(value)] = true
			}
			return nil
		})
	case graphInput, graphOutput:
		var name string
		v := &valueInfo{walk: w}
		err := w.fields(value, func(num int, value []byte, _ uint64) error {
			switch num {
			case valueName:
				name = string(value)
			case valueType:
				return w.fields(value, v.typeField)
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
		return v.walk.fields(value, v.tensorField)
	case typeSequence:
		v.sequence = true
		return v.walk.fields(value, func(num int, value []byte, _ uint64) error {
			if num == sequenceElem {
				return v.walk.fields(value, v.typeField)
			}
			return nil
		})
	case typeMap:
		return v.walk.fields(value, v.mapField)
	}
	return nil
}

func (v *valueInfo) tensorField(num int, value []byte, number uint64) error {
	switch num {
	case tensorElem:
		v.elem = int32(number)
	case tensorShape:
		return v.walk.fields(value, func(num int, value []byte, _ uint64) error {
			if num != shapeDim {
				return nil
			}
			name := ""
			err := v.walk.fields(value, func(num int, value []byte, _ uint64) error {
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
		inner := &valueInfo{walk: v.walk}
		err := v.walk.fields(value, inner.typeField)
		v.mapValue = inner.elem
		return err
	}
	return nil
}
