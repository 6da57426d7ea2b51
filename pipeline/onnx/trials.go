package onnx

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"strconv"

	"github.com/sluice-ml/sluice/schemas"
)

// flavour is a kind of made-up values, from the most telling to the ones that
// the most models accept.
type flavour int

const (
	anyValues   flavour = iota // normal floats, integers below 100
	smallValues                // floats in 0..1, integers below 3
	zeroOne                    // zeros and ones
	flavours
)

func (f flavour) String() string {
	return [...]string{"random values", "small random values", "zeros and ones"}[f]
}

// varyingSizes are tried for dimensions that may vary, all at the same size:
// short sequences, then what small and usual image models need.
var varyingSizes = []int64{6, 32, 224}

// rowMaker makes rows of made-up values, the same ones for the same seed.
type rowMaker struct {
	inputs []port
	axes   []int
	values flavour
	size   int64 // of a dimension that may vary
	rng    *rand.Rand
}

func newRowMaker(inputs []port, axes []int, values flavour, size int64, seed uint64) *rowMaker {
	return &rowMaker{inputs: inputs, axes: axes, values: values, size: size, rng: rand.New(rand.NewPCG(seed, 1))}
}

// row is one row for each input.
func (m *rowMaker) row() []schemas.Tensor {
	row := make([]schemas.Tensor, len(m.inputs))
	for i := range m.inputs {
		row[i] = m.tensor(&m.inputs[i], m.axes[i])
	}
	return row
}

func (m *rowMaker) rows(n int) [][]schemas.Tensor {
	rows := make([][]schemas.Tensor, n)
	for r := range rows {
		rows[r] = m.row()
	}
	return rows
}

func (m *rowMaker) tensor(in *port, axis int) schemas.Tensor {
	t := schemas.Tensor{Name: in.name, Type: in.typ, Shape: make([]int64, len(in.dims))}
	n := int64(1)
	for a, d := range in.dims {
		switch {
		case a == axis:
			d = 1
		case d < 0:
			d = m.size
		}
		t.Shape[a] = d
		n *= d
	}
	for range n {
		if in.typ == schemas.Bytes {
			t.Strings = append(t.Strings, strconv.FormatInt(m.integer(), 10))
		} else {
			t.Data = m.appendNumber(t.Data, in.typ)
		}
	}
	return t
}

func (m *rowMaker) integer() int64 {
	return m.rng.Int64N([...]int64{anyValues: 100, smallValues: 3, zeroOne: 2}[m.values])
}

func (m *rowMaker) float() float64 {
	switch m.values {
	case anyValues:
		return m.rng.NormFloat64()
	case smallValues:
		return m.rng.Float64()
	default:
		return float64(m.rng.IntN(2))
	}
}

func (m *rowMaker) appendNumber(dst []byte, t schemas.DataType) []byte {
	le := binary.LittleEndian
	switch t {
	case schemas.FP32:
		return le.AppendUint32(dst, math.Float32bits(float32(m.float())))
	case schemas.FP64:
		return le.AppendUint64(dst, math.Float64bits(m.float()))
	case schemas.FP16:
		return le.AppendUint16(dst, half(float32(m.float())))
	case schemas.BF16:
		return le.AppendUint16(dst, uint16(math.Float32bits(float32(m.float()))>>16))
	case schemas.Bool:
		return append(dst, byte(m.rng.IntN(2)))
	default:
		v := uint64(m.integer())
		switch t.Size() {
		case 1:
			return append(dst, byte(v))
		case 2:
			return le.AppendUint16(dst, uint16(v))
		case 4:
			return le.AppendUint32(dst, uint32(v))
		default:
			return le.AppendUint64(dst, v)
		}
	}
}

// half cuts a float32 to float16 (IEEE 754 binary16), rounding towards zero;
// what is too small becomes zero. Good enough for made-up values.
func half(f float32) uint16 {
	b := math.Float32bits(f)
	sign := uint16(b>>16) & 0x8000
	exp := int(b>>23&0xff) - 127 + 15
	switch {
	case exp <= 0:
		return sign
	case exp >= 31:
		return sign | 0x7bff // the largest finite one
	default:
		return sign | uint16(exp)<<10 | uint16(b>>13)&0x3ff
	}
}

// join makes the inputs of one run out of rows.
func join(rows [][]schemas.Tensor, axes []int) []schemas.Tensor {
	inputs := make([]schemas.Tensor, len(axes))
	column := make([]schemas.Tensor, len(rows))
	for i, axis := range axes {
		for r := range rows {
			column[r] = rows[r][i]
		}
		inputs[i] = joinRows(column, axis)
	}
	return inputs
}
