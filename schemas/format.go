package schemas

import (
	"encoding/binary"
	"math"
	"strconv"
)

// appendFloat appends a finite f in the shortest form that reads back exactly at
// the given width, as encoding/json does: like ES6, exponents only for the very
// small and very large.
func appendFloat(dst []byte, f float64, width int) []byte {
	format := byte('f')
	if abs := math.Abs(f); abs != 0 {
		small, large := 1e-6, 1e21
		if width == 32 {
			small, large = float64(float32(1e-6)), float64(float32(1e21))
		}
		if abs < small || abs >= large {
			format = 'e'
		}
	}
	dst = strconv.AppendFloat(dst, f, format, -1, width)
	if n := len(dst); format == 'e' && n >= 4 && dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' {
		dst[n-2] = dst[n-1] // e-09 to e-9
		dst = dst[:n-1]
	}
	return dst
}

// appendNonFinite appends the name of an infinity or of NaN as a JSON string.
func appendNonFinite(dst []byte, f float64) []byte {
	switch {
	case math.IsInf(f, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...)
	}
	return append(dst, `"NaN"`...)
}

func finite(f float64) bool { return f-f == 0 }

// float reads element k of a float tensor's data.
func (t *Tensor) float(k int) float64 {
	switch t.Type {
	case FP16:
		return float64(float16Value(binary.LittleEndian.Uint16(t.Data[2*k:])))
	case BF16:
		return float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(t.Data[2*k:])) << 16))
	case FP32:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*k:])))
	default:
		return math.Float64frombits(binary.LittleEndian.Uint64(t.Data[8*k:]))
	}
}

// integer reads element k of an integer or bool tensor's data; the bits are
// those of an int64, or of a uint64 for the unsigned types.
func (t *Tensor) integer(k int) uint64 {
	switch t.Type {
	case Bool, Uint8:
		return uint64(t.Data[k])
	case Int8:
		return uint64(int8(t.Data[k]))
	case Uint16:
		return uint64(binary.LittleEndian.Uint16(t.Data[2*k:]))
	case Int16:
		return uint64(int16(binary.LittleEndian.Uint16(t.Data[2*k:])))
	case Uint32:
		return uint64(binary.LittleEndian.Uint32(t.Data[4*k:]))
	case Int32:
		return uint64(int32(binary.LittleEndian.Uint32(t.Data[4*k:])))
	default:
		return binary.LittleEndian.Uint64(t.Data[8*k:])
	}
}

func (t DataType) isFloat() bool { return t == FP16 || t == FP32 || t == FP64 || t == BF16 }

func (t DataType) isUnsigned() bool { return t >= Uint8 && t <= Uint64 }

// appendElement appends element k as a JSON value. ok is false when it is not
// finite and pass is off; nothing is appended then.
func appendElement(dst []byte, t *Tensor, k int, pass bool) (out []byte, ok bool) {
	switch {
	case t.Type == Bytes:
		return appendQuoted(dst, t.Strings[k]), true
	case t.Type == Bool:
		return strconv.AppendBool(dst, t.Data[k] != 0), true
	case t.Type.isUnsigned():
		return strconv.AppendUint(dst, t.integer(k), 10), true
	case !t.Type.isFloat():
		return strconv.AppendInt(dst, int64(t.integer(k)), 10), true
	}
	f := t.float(k)
	switch {
	case !finite(f) && pass:
		return appendNonFinite(dst, f), true
	case !finite(f):
		return dst, false
	case t.Type == FP64:
		return appendFloat(dst, f, 64), true
	}
	// FP16 and BF16 as the float32 they are: fewer digits would read back too, but
	// only for a reader that knows the type; most read doubles.
	return appendFloat32(dst, float32(f)), true
}
