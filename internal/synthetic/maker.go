package synthetic

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/sluice-ml/sluice/schemas"
)

// maxElements bounds one input of one row: as many as a codec takes.
const maxElements = 8 << 20

// Maker makes rows of inputs, seeded. Not safe for concurrent use.
type Maker struct {
	inputs []Input
	shapes [][]int64
	counts []int64
	ranges []Range
	random *rand.Rand
}

// NewMaker checks that the options fit the inputs. The error lists everything
// that is wrong, with the flag that mends it.
func NewMaker(inputs []Input, opts Options, seed uint64) (*Maker, error) {
	m := &Maker{inputs: inputs, random: rand.New(rand.NewPCG(seed, 784))}
	var errs []error
	used, ranged := map[string]bool{}, map[string]bool{}
	for i := range inputs {
		in := &inputs[i]
		shape, err := resolve(in, opts.Dims, used)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		n, ok := schemas.Elements(shape)
		if !ok || n > maxElements {
			errs = append(errs, fmt.Errorf("input %s: a row of shape %v has more than %d elements", in.Name, shape, maxElements))
		}
		r, given := opts.Ranges[in.Name]
		ranged[in.Name] = given
		if !given {
			r = Range{0, 1}
		}
		if err := fits(in.Type, r); err != nil {
			errs = append(errs, fmt.Errorf("input %s: %w", in.Name, err))
		}
		m.shapes, m.counts, m.ranges = append(m.shapes, shape), append(m.counts, n), append(m.ranges, r)
	}
	if len(errs) == 0 {
		errs = unused(used, ranged, opts)
	}
	return m, errors.Join(errs...)
}

// unused are the options that mean nothing to this model.
func unused(used, ranged map[string]bool, opts Options) []error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(opts.Dims)) {
		if !used[name] {
			errs = append(errs, fmt.Errorf("--dim %s: no input has a dimension of that name that may vary", name))
		}
	}
	names := strings.Join(slices.Sorted(maps.Keys(ranged)), ", ")
	for _, name := range slices.Sorted(maps.Keys(opts.Ranges)) {
		if _, known := ranged[name]; !known {
			errs = append(errs, fmt.Errorf("--range %s: no such input; there are: %s", name, names))
		}
	}
	return errs
}

// Row makes one row of every input, reusing the memory of dst.
func (m *Maker) Row(dst []schemas.Tensor) []schemas.Tensor {
	dst = slices.Grow(dst[:0], len(m.inputs))[:len(m.inputs)]
	for i := range m.inputs {
		t := &dst[i]
		t.Name, t.Type, t.Shape = m.inputs[i].Name, m.inputs[i].Type, m.shapes[i]
		t.Data, t.Strings = t.Data[:0], t.Strings[:0]
		for range m.counts[i] {
			if t.Type == schemas.Bytes {
				t.Strings = append(t.Strings, m.word())
				continue
			}
			t.Data = m.element(t.Data, t.Type, m.ranges[i])
		}
	}
	return dst
}

// RowBytes is about what one row takes in memory.
func (m *Maker) RowBytes() int64 {
	total := int64(0)
	for i := range m.inputs {
		size := int64(m.inputs[i].Type.Size())
		if size == 0 {
			size = 24 // a string's header and a few letters
		}
		total += m.counts[i] * size
	}
	return total
}

// word is a few letters, for inputs of strings.
func (m *Maker) word() string {
	letters := make([]byte, 4+m.random.IntN(8))
	for i := range letters {
		letters[i] = byte('a' + m.random.IntN(26))
	}
	return string(letters)
}

// element appends one little-endian value.
func (m *Maker) element(dst []byte, t schemas.DataType, r Range) []byte {
	switch t {
	case schemas.FP64:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(m.between(r)))
	case schemas.FP32:
		v := float32(m.between(r))
		if r.High > r.Low && float64(v) >= r.High { // rounding reached the end that is not included
			v = math.Nextafter32(v, float32(r.Low))
		}
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(v))
	case schemas.FP16:
		return binary.LittleEndian.AppendUint16(dst, half(m.between(r)))
	case schemas.BF16:
		return binary.LittleEndian.AppendUint16(dst, uint16(math.Float32bits(float32(m.between(r)))>>16))
	default:
		return m.whole(dst, t.Size(), r)
	}
}

// whole appends a whole number of that many bytes.
func (m *Maker) whole(dst []byte, size int, r Range) []byte {
	low, high := int64(math.Ceil(r.Low)), int64(math.Floor(r.High))
	v := uint64(low + m.random.Int64N(high-low+1))
	switch size {
	case 1:
		return append(dst, byte(v))
	case 2:
		return binary.LittleEndian.AppendUint16(dst, uint16(v))
	case 4:
		return binary.LittleEndian.AppendUint32(dst, uint32(v))
	default:
		return binary.LittleEndian.AppendUint64(dst, v)
	}
}

func (m *Maker) between(r Range) float64 { return r.Low + m.random.Float64()*(r.High-r.Low) }

// half is the IEEE binary16 of v, towards zero; what is too small is 0.
func half(v float64) uint16 {
	bits := math.Float32bits(float32(v))
	sign, exponent, fraction := uint16(bits>>16&0x8000), int(bits>>23&0xFF)-127, uint16(bits>>13&0x3FF)
	switch {
	case exponent < -14:
		return sign
	case exponent > 15:
		return sign | 0x7BFF // the largest finite
	}
	return sign | uint16(exponent+15)<<10 | fraction
}

// fits says whether a type can hold every value of a range.
func fits(t schemas.DataType, r Range) error {
	var low, high float64
	switch t {
	case schemas.Bool:
		low, high = 0, 1
	case schemas.Uint8:
		low, high = 0, math.MaxUint8
	case schemas.Uint16:
		low, high = 0, math.MaxUint16
	case schemas.Uint32:
		low, high = 0, math.MaxUint32
	case schemas.Uint64:
		low, high = 0, 1<<53
	case schemas.Int8:
		low, high = math.MinInt8, math.MaxInt8
	case schemas.Int16:
		low, high = math.MinInt16, math.MaxInt16
	case schemas.Int32:
		low, high = math.MinInt32, math.MaxInt32
	case schemas.Int64:
		low, high = -(1 << 53), 1<<53
	case schemas.FP16:
		low, high = -65504, 65504
	case schemas.FP32, schemas.BF16:
		low, high = -math.MaxFloat32, math.MaxFloat32
	case schemas.FP64, schemas.Bytes:
		return nil
	default:
		return fmt.Errorf("values of type %s cannot be made up", t)
	}
	if r.Low < low || r.High > high {
		return fmt.Errorf("%s holds %v..%v, not %v..%v", t, low, high, r.Low, r.High)
	}
	whole := t.Size() > 0 && t != schemas.FP16 && t != schemas.FP32 && t != schemas.BF16
	if whole && math.Ceil(r.Low) > math.Floor(r.High) {
		return fmt.Errorf("no whole number lies in %v..%v", r.Low, r.High)
	}
	return nil
}
