// Package schemas is the contract on the wire: how a record's bytes become the
// named tensors of a model, and how the model's outputs become bytes again.
// It knows neither Kafka nor ONNX.
package schemas

import "fmt"

// DataType is the element type of a tensor, in the terms of the Open Inference
// Protocol v2 (BF16 is raw only).
type DataType uint8

// The data types. The zero value is no type.
const (
	InvalidType DataType = iota
	Bool
	Uint8
	Uint16
	Uint32
	Uint64
	Int8
	Int16
	Int32
	Int64
	FP16
	FP32
	FP64
	Bytes
	BF16
)

var dataTypes = [...]struct {
	name string
	size int
}{
	InvalidType: {"INVALID", 0},
	Bool:        {"BOOL", 1},
	Uint8:       {"UINT8", 1},
	Uint16:      {"UINT16", 2},
	Uint32:      {"UINT32", 4},
	Uint64:      {"UINT64", 8},
	Int8:        {"INT8", 1},
	Int16:       {"INT16", 2},
	Int32:       {"INT32", 4},
	Int64:       {"INT64", 8},
	FP16:        {"FP16", 2},
	FP32:        {"FP32", 4},
	FP64:        {"FP64", 8},
	Bytes:       {"BYTES", 0},
	BF16:        {"BF16", 2},
}

// Size is the size of one element in bytes; 0 for Bytes, whose elements vary.
func (t DataType) Size() int {
	if int(t) >= len(dataTypes) {
		return 0
	}
	return dataTypes[t].size
}

// String is the type's Open Inference Protocol name.
func (t DataType) String() string {
	if int(t) >= len(dataTypes) {
		return dataTypes[InvalidType].name
	}
	return dataTypes[t].name
}

// ParseDataType reads an Open Inference Protocol type name such as "FP32".
func ParseDataType(name string) (DataType, error) {
	for t := Bool; int(t) < len(dataTypes); t++ {
		if dataTypes[t].name == name {
			return t, nil
		}
	}
	return InvalidType, fmt.Errorf("unknown datatype %q", name)
}
