package schemas

import (
	"encoding/binary"
	"math"
	"unsafe"
)

// intRange says which whole numbers a type holds: -below..above.
type intRange struct {
	size         int
	below, above uint64
}

var intRanges = [...]intRange{
	Uint8:  {1, 0, math.MaxUint8},
	Uint16: {2, 0, math.MaxUint16},
	Uint32: {4, 0, math.MaxUint32},
	Uint64: {8, 0, math.MaxUint64},
	Int8:   {1, 1 << 7, math.MaxInt8},
	Int16:  {2, 1 << 15, math.MaxInt16},
	Int32:  {4, 1 << 31, math.MaxInt32},
	Int64:  {8, 1 << 63, math.MaxInt64},
}

// holds tells whether the number with this sign and absolute value fits.
func (r intRange) holds(neg bool, abs uint64) bool {
	if neg {
		return abs <= r.below
	}
	return abs <= r.above
}

// put stores the number in two's complement.
func (r intRange) put(dst []byte, neg bool, abs uint64) {
	if neg {
		abs = -abs
	}
	switch r.size {
	case 1:
		dst[0] = byte(abs)
	case 2:
		binary.LittleEndian.PutUint16(dst, uint16(abs))
	case 4:
		binary.LittleEndian.PutUint32(dst, uint32(abs))
	default:
		binary.LittleEndian.PutUint64(dst, abs)
	}
}

// scanInts is scanFloat32s for whole numbers of at most 15 digits; the rest
// takes the careful path.
func scanInts(b []byte, i int, dst []byte, r intRange) (next, n int, closed bool) {
	p := unsafe.Pointer(unsafe.SliceData(b))
	done := 0
	for done+r.size <= len(dst) && i+fastSpan <= len(b) {
		j := i
		neg := byteAt(p, j) == '-'
		if neg {
			j++
		}
		t := wordAt(p, j) ^ zeroChars
		k := digitRun(t)
		if k == 0 || (k > 1 && t&0xff == 0) {
			break
		}
		var abs uint64
		if k == 8 {
			abs = eightDigits(t)
			j += 8
			t = wordAt(p, j) ^ zeroChars
			if k = digitRun(t); k == 8 {
				break
			}
		}
		abs = abs*pow10[k] + digitValue(t, k)
		j += k
		c := byteAt(p, j)
		if (c != ',' && c != ']') || !r.holds(neg, abs) {
			break
		}
		r.put(dst[done:done+r.size], neg, abs)
		done += r.size
		if c == ']' {
			return j, done / r.size, true
		}
		j++
		if byteAt(p, j) == ' ' {
			j++
		}
		if byteAt(p, j) <= ' ' {
			j = space(b, j)
		}
		i = j
	}
	return i, done / r.size, false
}
