package onnx

import (
	"fmt"
	"unsafe"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/sluice-ml/sluice/schemas"
)

// elementTypes maps our datatypes to the runtime's.
var elementTypes = [...]ort.TensorElementDataType{
	schemas.Bool:   ort.TensorElementDataTypeBool,
	schemas.Uint8:  ort.TensorElementDataTypeUint8,
	schemas.Uint16: ort.TensorElementDataTypeUint16,
	schemas.Uint32: ort.TensorElementDataTypeUint32,
	schemas.Uint64: ort.TensorElementDataTypeUint64,
	schemas.Int8:   ort.TensorElementDataTypeInt8,
	schemas.Int16:  ort.TensorElementDataTypeInt16,
	schemas.Int32:  ort.TensorElementDataTypeInt32,
	schemas.Int64:  ort.TensorElementDataTypeInt64,
	schemas.FP16:   ort.TensorElementDataTypeFloat16,
	schemas.FP32:   ort.TensorElementDataTypeFloat,
	schemas.FP64:   ort.TensorElementDataTypeDouble,
	schemas.Bytes:  ort.TensorElementDataTypeString,
	schemas.BF16:   ort.TensorElementDataTypeBFloat16,
}

// dataType is the inverse; ok is false for types we carry no values of
// (float8, int4, complex).
func dataType(e ort.TensorElementDataType) (t schemas.DataType, ok bool) {
	for t := schemas.Bool; int(t) < len(elementTypes); t++ {
		if elementTypes[t] == e {
			return t, true
		}
	}
	return schemas.InvalidType, false
}

// newTensor makes a value of rank 1 or more over memory that must outlive it.
func newTensor(t schemas.DataType, shape []int64, mem []byte) (ort.Value, error) {
	if t == schemas.Bytes {
		return ort.NewStringTensor(shape)
	}
	return ort.NewCustomDataTensor(shape, mem, elementTypes[t])
}

// newScalar makes a rank-0 value; the binding refuses an empty shape elsewhere.
func newScalar(t schemas.DataType, data []byte) (ort.Value, error) {
	switch t {
	case schemas.Bool:
		return scalarOf[bool](data)
	case schemas.Uint8:
		return scalarOf[uint8](data)
	case schemas.Uint16:
		return scalarOf[uint16](data)
	case schemas.Uint32:
		return scalarOf[uint32](data)
	case schemas.Uint64:
		return scalarOf[uint64](data)
	case schemas.Int8:
		return scalarOf[int8](data)
	case schemas.Int16:
		return scalarOf[int16](data)
	case schemas.Int32:
		return scalarOf[int32](data)
	case schemas.Int64:
		return scalarOf[int64](data)
	case schemas.FP32:
		return scalarOf[float32](data)
	case schemas.FP64:
		return scalarOf[float64](data)
	default:
		return nil, fmt.Errorf("a rank-0 %s cannot be made with this binding", t)
	}
}

// scalarTypes tells which rank-0 values newScalar can make.
func scalarType(t schemas.DataType) bool {
	return t != schemas.FP16 && t != schemas.BF16 && t != schemas.Bytes
}

func scalarOf[T ort.TensorData](data []byte) (ort.Value, error) {
	var v T
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&v)), unsafe.Sizeof(v)), data)
	return ort.NewScalar(v)
}

// valueBytes is the memory of a numeric value, which stays the value's.
func valueBytes(v ort.Value) ([]byte, error) {
	switch v := v.(type) {
	case *ort.CustomDataTensor:
		return v.GetData(), nil
	case *ort.Tensor[float32]:
		return bytesOf(v.GetData()), nil
	case *ort.Tensor[float64]:
		return bytesOf(v.GetData()), nil
	case *ort.Tensor[int8]:
		return bytesOf(v.GetData()), nil
	case *ort.Tensor[int16]:
		return bytesOf(v.GetData()), nil
	case *ort.Tensor[int32]:
		return bytesOf(v.GetData()), nil
	case *ort.Tensor[int64]:
		return bytesOf(v.GetData()), nil
	case *ort.Tensor[uint8]:
		return v.GetData(), nil
	case *ort.Tensor[uint16]:
		return bytesOf(v.GetData()), nil
	case *ort.Tensor[uint32]:
		return bytesOf(v.GetData()), nil
	case *ort.Tensor[uint64]:
		return bytesOf(v.GetData()), nil
	case *ort.Tensor[bool]:
		return bytesOf(v.GetData()), nil
	default:
		return scalarBytes(v)
	}
}

func scalarBytes(v ort.Value) ([]byte, error) {
	switch v := v.(type) {
	case *ort.Scalar[float32]:
		return bytesOf([]float32{v.GetData()}), nil
	case *ort.Scalar[float64]:
		return bytesOf([]float64{v.GetData()}), nil
	case *ort.Scalar[int8]:
		return bytesOf([]int8{v.GetData()}), nil
	case *ort.Scalar[int16]:
		return bytesOf([]int16{v.GetData()}), nil
	case *ort.Scalar[int32]:
		return bytesOf([]int32{v.GetData()}), nil
	case *ort.Scalar[int64]:
		return bytesOf([]int64{v.GetData()}), nil
	case *ort.Scalar[uint8]:
		return []byte{v.GetData()}, nil
	case *ort.Scalar[uint16]:
		return bytesOf([]uint16{v.GetData()}), nil
	case *ort.Scalar[uint32]:
		return bytesOf([]uint32{v.GetData()}), nil
	case *ort.Scalar[uint64]:
		return bytesOf([]uint64{v.GetData()}), nil
	case *ort.Scalar[bool]:
		return bytesOf([]bool{v.GetData()}), nil
	default:
		return nil, fmt.Errorf("a value of Go type %T is not readable", v)
	}
}

// bytesOf views a slice as bytes. Little-endian machines only, as is the wire.
func bytesOf[T ort.TensorData](s []T) []byte {
	if len(s) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(s[0])))
}

// valueStrings reads a string value. Rank 0 goes element by element: the
// binding counts such a tensor as empty.
func valueStrings(v *ort.StringTensor) ([]string, error) {
	if len(v.GetShape()) == 0 {
		s, err := v.GetElement(0)
		return []string{s}, err
	}
	return v.GetContents()
}
